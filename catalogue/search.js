// Finds what is in this page's own list, so it needs no server. Every word that is typed must occur.
const box = document.querySelector("search");
const typed = document.getElementById("typed");
const count = document.getElementById("count");
const found = document.getElementById("found");

function fitting(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const all = PLACES.filter((one) => words.every((word) => one.words.includes(word)));
  return all.sort((a, b) => b.title.toLowerCase().startsWith(words[0]) - a.title.toLowerCase().startsWith(words[0]));
}

function row(one) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  const small = document.createElement("small");
  link.href = one.href;
  link.textContent = `${one.title} `;
  small.textContent = one.says;
  link.append(small);
  item.append(link);
  return item;
}

function show() {
  const places = fitting(typed.value);
  const more = places.length > 30 ? "; the first 30 are shown" : "";
  count.textContent = typed.value.trim() ? `${places.length} found${more}` : "";
  found.replaceChildren(...places.slice(0, 30).map(row));
}

box.hidden = false;
typed.addEventListener("input", show);
typed.addEventListener("keydown", (event) => {
  if (event.key === "Escape") typed.value = "";
  if (event.key === "Enter") found.querySelector("a")?.click();
  if (event.key === "Escape") show();
});
