// Times in the viewer's own zone, ages that count on, the poll's ETag, and a sign-in link's token.
"use strict";

const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function age(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return `${s} s`;
  if (s < 7200) return `${Math.floor(s / 60)} min`;
  if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} days`;
}

function tell() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    const said = time.classList.contains("ago") ? age((Date.now() - at) / 1000) : whole.format(at);
    if (time.textContent !== said) time.textContent = said;
  }
}

let etag = "";
document.addEventListener("htmx:configRequest", (event) => {
  // What somebody is typing, or has opened, is not replaced under their hands.
  const live = document.getElementById("live");
  const at = document.activeElement;
  const typing = live && at && live.contains(at) && at.matches("input, select, textarea");
  if (typing || (live && live.querySelector("details[open]"))) event.preventDefault();
  if (etag) event.detail.headers["If-None-Match"] = etag;
});
document.addEventListener("htmx:afterRequest", (event) => {
  const poll = document.getElementById("polled");
  const xhr = event.detail.xhr;
  if (!xhr || !poll) return;
  if (xhr.status === 200) etag = xhr.getResponseHeader("ETag") || "";
  const ok = xhr.status === 200 || xhr.status === 304;
  poll.textContent = ok ? "" : "not refreshed: the console does not answer";
});
document.addEventListener("htmx:afterSwap", tell);

const form = document.querySelector("form[data-token]");
if (form && location.hash.length > 1) {
  form.elements.token.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname + location.search);
  form.submit();
}

tell();
setInterval(tell, 1000);
