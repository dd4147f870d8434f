// A buyer's and a clerk's whole way through the webshop in a browser: node walk.mjs URL CHROMIUM FOLDER
// Screenshots of each step go to FOLDER; the last line is JSON: how many steps were taken, and what was wrong.

import { strict as assert } from "node:assert";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, executablePath, folder] = process.argv.slice(2);
const PASSWORD = "kettles and pans"; // of `manage.py demo`
const wrong = [];
let steps = 0;

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });

async function visitor(name) {
  const page = await (await browser.newContext({ baseURL: url, viewport: { width: 1100, height: 800 } })).newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => wrong.push(`${name}: ${error.message}`));
  page.on("response", (answer) => {
    if (answer.status() >= 400 && !answer.url().endsWith("/favicon.ico")) {
      wrong.push(`${name}: ${answer.status()} ${answer.url()}`);
    }
  });
  page.step = async (what, heading) => {
    await page.getByRole("heading", { level: 1, name: heading }).waitFor();
    steps += 1;
    const path = join(folder, `${name}-${String(steps).padStart(2, "0")}-${what}.png`);
    await page.screenshot({ path, fullPage: true });
  };
  return page;
}

const field = (page, name) => page.locator(`main [name=${name}]`);
const said = (page, text) => page.getByRole("status").filter({ hasText: text }).waitFor();
const stock = async (page) => Number((await page.getByText(/^\d+ in stock$/).textContent()).split(" ")[0]);

async function buyer() {
  const page = await visitor("buyer");
  await page.goto("/");
  await page.step("goods", "All goods");
  await page.getByRole("link", { name: "Sign up" }).click();
  await field(page, "username").fill("walter");
  await field(page, "name").fill("Walter Wood");
  await field(page, "email").fill("walter@example.com");
  await field(page, "password1").fill("brook and meadow");
  await field(page, "password2").fill("brook and meadow");
  await page.getByRole("button", { name: "Sign up" }).click();
  await said(page, "Welcome!");
  await page.step("signed-up", "All goods");

  await page.getByRole("searchbox").fill("kettle");
  await page.getByRole("button", { name: "Search" }).click();
  await page.step("search", "“kettle”");
  const onSale = page.locator(".goods li", { hasNot: page.locator(".sold-out") });
  await onSale.first().getByRole("link").click();
  await page.getByRole("button", { name: "Add to cart" }).waitFor();
  const product = await page.getByRole("heading", { level: 1 }).textContent();
  const address = page.url();
  const before = await stock(page);
  await field(page, "quantity").fill("2");
  await page.step("product", product);
  await page.getByRole("button", { name: "Add to cart" }).click();
  await page.getByRole("link", { name: /^Cart/ }).click();
  await page.step("cart", "Your cart");
  await page.getByRole("link", { name: "Go to checkout" }).click();
  await page.step("checkout", "Checkout");
  await field(page, "name").fill("Walter Wood");
  await field(page, "email").fill("walter@example.com");
  await field(page, "street").fill("1 Mill Lane");
  await field(page, "postcode").fill("04109");
  await field(page, "city").fill("Leipzig");
  await page.getByRole("button", { name: "Place the order" }).click();
  await said(page, "Thank you!"); // its own write, read behind a redirect
  const order = await page.getByRole("heading", { level: 1 }).textContent();
  await page.step("order", order);
  await page.getByRole("link", { name: "Orders" }).click();
  await page.getByRole("link", { name: order, exact: true }).waitFor();
  await page.step("orders", "Your orders");

  await page.goto(address);
  assert.equal(await stock(page), before - 2, "the stock after the order");
  await page.getByRole("radio", { name: "★★★★★" }).check();
  await field(page, "text").fill("Boils in a minute.");
  await page.getByRole("button", { name: "Send review" }).click();
  await said(page, "Thank you for your review.");
  await page.getByText("Boils in a minute.").waitFor();
  await page.step("review", product);
  return order;
}

async function clerk(order) {
  const page = await visitor("clerk");
  await page.goto("/staff/orders/");
  await field(page, "username").fill("staff");
  await field(page, "password").fill(PASSWORD);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.step("orders", "Orders");
  await page.getByRole("link", { name: order, exact: true }).click();
  await page.step("order", order);
  await page.getByRole("button", { name: "Ship" }).click();
  await said(page, "shipped");
  await page.goto("/staff/products/");
  await page.getByRole("link", { name: "New product" }).click();
  await field(page, "price").fill("12.50");
  await field(page, "stock").fill("7");
  await page.locator("form.fields").evaluate((form) => (form.noValidate = true)); // the server's answer, not the browser's
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator(".errorlist").waitFor();
  await page.step("refused", "New");
  assert.equal(await field(page, "price").inputValue(), "12.50", "what was typed is kept");
  await field(page, "name").fill("Tea cosy");
  await page.getByRole("button", { name: "Save" }).click();
  await said(page, "Tea cosy is saved.");
  await page.step("products", "Products");
  await page.goto("/staff/report/");
  await page.step("report", "Orders and revenue by day");
  await page.goto("/admin/orders/order/");
  await page.step("admin", "Select order to change");
  await page.locator("#result_list").getByRole("link", { name: order, exact: true }).click();
  await page.step("admin-order", "Change order");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("was changed successfully").waitFor();
}

try {
  await clerk(await buyer());
} catch (error) {
  for (const page of browser.contexts().flatMap((context) => context.pages())) {
    await page.screenshot({ path: join(folder, `wrong-${steps}.png`), fullPage: true }); // the last one is where it ended
  }
  wrong.push(`after ${steps} steps: ${error.message}`);
} finally {
  await browser.close();
}
console.log(JSON.stringify({ steps, wrong }));
process.exitCode = wrong.length ? 1 : 0;
