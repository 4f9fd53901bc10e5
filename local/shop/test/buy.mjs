// Buys in the shop with a real browser, and follows the purchase into the warehouse and the sales mart.
//
// Run by `sluice-local with-stack --open -- node local/shop/test/buy.mjs`, which says where the shop is; CHROMIUM is the browser.
// PICTURE=docs/shop.png also takes the picture of the README.
import assert from "node:assert/strict";
import puppeteer from "puppeteer-core";

const MINUTES = 60_000;
const url = process.env.SLUICE_SHOP_URL;
assert(url, "SLUICE_SHOP_URL is not set: run this through sluice-local with-stack");

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    // The browser's own calls home: there are none, and if there were, no name but this machine's would resolve.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  ],
});
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 900, height: 720 });
  page.setDefaultTimeout(2 * MINUTES);
  const complaints = [];
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (protocol !== "data:" && hostname !== "127.0.0.1") complaints.push(`the page asked ${hostname}`);
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  const preflights = [];
  page.on("response", (response) => {
    if (response.status() >= 500) complaints.push(`${response.url()} answered ${response.status()}`);
    if (response.url().includes("/v1/events/")) preflights.push(`${response.request().method()} ${response.status()}`);
  });
  await page.goto(url);
  await page.waitForSelector("#shelf button:not([disabled])");
  await page.waitForSelector("#total[data-usd]");
  const total = () =>
    page.$eval("#total", ({ dataset }) => ({ cents: cents(dataset.usd), transactions: Number(dataset.transactions) }));
  await page.evaluate(() => {
    window.cents = (text) => Math.round(Number(text) * 100);
  });

  const before = await total();
  const price = await page.$eval("#shelf li", (item) => item.dataset.price);
  await page.click("#shelf li button");
  await page.waitForSelector('#purchases li[data-status="in the warehouse"]');
  const id = await page.$eval("#purchases li", (item) => item.dataset.id);
  const { rows } = await (await fetch(`${url}/api/purchases/${id}`)).json();
  assert.equal(rows, 1, "the purchase is in the warehouse once");

  await page.waitForFunction(
    (transactions) => Number(document.querySelector("#total").dataset.transactions) > transactions,
    { timeout: 3 * MINUTES },
    before.transactions,
  );
  const after = await total();
  assert.equal(after.transactions, before.transactions + 1);
  assert.equal(after.cents - before.cents, Math.round(Number(price) * 100), "the total has grown by the price");

  // A customer is somebody with an e-mail.
  const customer = await page.$eval("#email", (field) => field.value);
  const type = async (text) => {
    await page.click("#email", { count: 3 });
    await page.type("#email", text);
  };
  await type("nobody at all");
  await page.waitForSelector("#refusal");
  assert(await page.$eval("#shelf button", (button) => button.disabled), "nobody buys without an e-mail");
  await type(customer);
  await page.waitForSelector("#shelf button:not([disabled])");

  if (process.env.PICTURE) await page.screenshot({ path: process.env.PICTURE, fullPage: true });

  // What the function refuses is told to the customer.
  await page.evaluate(() => {
    const send = window.fetch;
    window.fetch = (to, options) =>
      send(to, options?.body ? { ...options, body: options.body.replace('"quantity":1', '"quantity":0') } : options);
  });
  await page.click("#shelf li button");
  await page.waitForSelector('#purchases li[data-status="failed"]');
  const told = await page.$eval("#purchases li em", (status) => status.textContent);
  assert.match(told, /quantity/);
  assert.deepEqual(complaints, []);
  assert(preflights.some((answer) => answer === "POST 202"), preflights.join());
  console.log(`bought ${id} for $${price}: in the warehouse once, and the total grew from ${before.cents} to ${after.cents} cents`);
} finally {
  await browser.close();
}
