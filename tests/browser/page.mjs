// page.mjs URL OUTDIR: walks through every view of a running demo, as an
// operator would, and keeps a picture of each. The service `hostile` has lines
// that want to do harm (tests/e2e/page.rs sends them).

import assert from "node:assert/strict";
import path from "node:path";
import { open } from "./browser.mjs";

const [url, out] = process.argv.slice(2);
const { browser, page, complaints } = await open();
const picture = (name) => page.screenshot({ path: path.join(out, `${name}.png`) });
const texts = (selector) => page.locator(selector).allTextContents();

async function search(query) {
  await page.fill("input.query", query);
  await page.click("form.search button.primary");
  await page.waitForURL((address) => (address.searchParams.get("query") ?? "") === query);
  await page.waitForSelector(".log-row");
}

async function logs() {
  await page.goto(url);
  await page.waitForSelector(".log-row");
  await page.waitForSelector(".histogram rect");
  assert((await page.locator(".log-row").count()) >= 20, "a page of lines");
  assert.match(await page.innerText("#complete"), /^complete until \d\d:\d\d:\d\d/);
  await picture("logs");
  const before = await page.locator(".log-row").count();
  await page.click("text=Older lines");
  await page.waitForFunction((count) => document.querySelectorAll(".log-row").length > count, before);
  await search("severity>=error");
  const severities = new Set(await texts(".log-line .sev"));
  assert([...severities].every((one) => one === "error" || one === "fatal"), [...severities].join());
}

async function keyboard() {
  await page.keyboard.press("Escape");
  await page.locator("body").click({ position: { x: 5, y: 300 } });
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  assert.equal(await page.locator(".log-row.open").count(), 1);
  await page.keyboard.press("Escape");
  assert.equal(await page.locator(".log-row.open").count(), 0);
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.name), "query");
}

async function chips() {
  await search("service_name:payment");
  await page.locator(".log-line").first().click();
  const row = page.locator(".fields tr", { hasText: "k8s_pod_name" });
  await row.locator("text=only").click();
  await page.waitForSelector(".chip");
  assert.match(page.url(), /f=k8s_pod_name/);
  await page.waitForSelector(".log-row");
  await page.locator(".chip button").click();
  await page.waitForFunction(() => !document.querySelector(".chip"));
}

async function zoom() {
  const chart = page.locator(".histogram");
  await chart.waitFor();
  const box = await chart.boundingBox();
  await page.mouse.move(box.x + box.width * 0.9, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width - 2, box.y + 40, { steps: 4 });
  await page.mouse.up();
  await page.waitForURL(/start=20\d\d.*end=20\d\d/);
}

async function lineToTrace() {
  await page.goto(url);
  await search(`service_name:payment "payment declined"`);
  // The oldest, whose trace is here (tests/e2e/page.rs waits for it).
  await page.locator(".log-line").last().click();
  await picture("line");
  await page.click(".to-trace");
  await page.waitForURL(/\/trace\/[0-9a-f]{32}$/);
  await page.waitForSelector(".span-row");
  const spans = await page.locator(".span-row").count();
  assert(spans > 3, `${spans} spans`);
  assert((await page.locator(".span-row .badge.bad").count()) > 0, "a failed span is marked");
  assert((await page.locator(".logs-of-trace tr").count()) > 0, "the lines of the trace");
  await page.locator(".span-row .badge.bad").first().click();
  await page.waitForSelector(".waterfall .details .fields");
  await picture("trace");
  return spans;
}

async function traces() {
  await page.click("#nav >> text=Traces");
  await page.waitForSelector("tbody tr");
  await picture("traces");
  await page.selectOption("select[name=serviceName]", "checkout");
  await page.fill("input[name=annotationQuery]", "error");
  await page.click("form.search button.primary");
  await page.waitForURL(/serviceName=checkout/);
  await page.waitForSelector("tbody tr");
  const failed = await texts("tbody tr td:last-child");
  assert(failed.every((text) => /failed/.test(text)), failed.join());
}

async function dependencies() {
  await page.click("#nav >> text=Dependencies");
  await page.waitForSelector(".graph .edge");
  const names = await texts(".graph text");
  for (const service of ["frontend", "checkout", "payment", "inventory"]) {
    assert(names.some((name) => name.includes(service)), `${service} is in the graph: ${names}`);
  }
  await picture("dependencies");
}

async function alerts() {
  await page.click("#nav >> text=Alerts");
  await page.waitForSelector("h2:has-text('Told') + table tbody tr");
  const rules = await texts("h2:has-text('Rules') + table tbody tr");
  assert(rules.some((rule) => rule.includes("PaymentDeclined")), rules.join("\n"));
  await picture("alerts");
}

async function delivery() {
  await page.click("#nav >> text=Delivery");
  await page.waitForSelector("h2:has-text('Sources')");
  const text = await page.innerText("#view");
  assert.match(text, /0 gaps\./);
  assert.match(text, /Complete until \d\d:\d\d:\d\d/);
  await picture("delivery");
}

/** A host's clock is off: its spans are shown where they belong, and it is said. */
async function skew() {
  await page.goto(`${url}/traces?serviceName=shipping`);
  await page.locator("tbody a").last().click();
  await page.waitForSelector(".span-row .badge:has-text('adjusted by')");
  await picture("trace-adjusted");
  const late = () => page.locator(".track rect").evaluateAll((bars) => bars.filter((bar) => parseFloat(bar.getAttribute("x")) > 100).length);
  assert.equal(await late(), 0);
  await page.click("text=Show as reported");
  await page.waitForSelector("text=Put clocks right");
}

/** Lines of the service `hostile`: shown as text, whatever they say. */
async function hostile() {
  await page.goto(url);
  await search("service_name:hostile");
  await picture("hostile");
  const list = await page.innerText(".log-list");
  for (const shown of ["<script>window.__pwned", "<img src=x onerror=", "{{7*7}}", "␛[31m", "<U+202E>", "javascript:"]) {
    assert(list.includes(shown), `${shown} is in the list as text:\n${list}`);
  }
  assert((await texts(".log-line .body")).every((body) => !body.includes("49")), "no template was evaluated");
  for (const line of await page.locator(".log-line").all()) await line.click();
  assert.equal(await page.locator(".log-list :is(script, img, iframe, object, form, style, a[href^='javascript'])").count(), 0);
  const values = await texts(".fields td.value");
  assert(values.some((value) => value.includes("\"><svg/onload=")), "an attribute's value is text, too");
  const sizes = await page.locator(".body-text").evaluateAll((all) => all.map((one) => one.textContent.length));
  assert(Math.max(...sizes) > 60_000 && Math.max(...sizes) < 70_000, `a long line is cut: ${sizes}`);
  await page.click("text=Show all of it");
  const whole = await page.locator(".body-text").evaluateAll((all) => Math.max(...all.map((one) => one.textContent.length)));
  assert(whole > 700_000, `and had as it is stored: ${whole}`);
  await page.waitForTimeout(300);
  assert.equal(await page.evaluate(() => window.__pwned), undefined);
  await picture("hostile-open");
}

async function looks() {
  await page.goto(url);
  await page.waitForSelector(".histogram rect");
  await page.click("#theme");
  await picture("logs-dark");
  await page.setViewportSize({ width: 420, height: 800 });
  await picture("logs-narrow");
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert(overflow <= 0, `nothing is wider than a telephone: ${overflow} px`);
}

async function mistakes() {
  await page.goto(`${url}/?query=${encodeURIComponent("(a OR")}`);
  await page.waitForSelector(".notice.bad");
  assert.match(await page.innerText(".notice.bad"), /\S/);
  await page.goto(`${url}/trace/0123456789abcdef0123456789abcdef`);
  await page.waitForSelector(".notice.warn");
}

/** The trace of a line of just now may still be on its way. */
async function early() {
  await page.goto(url);
  await search(`service_name:payment "payment declined"`);
  let asked = 0;
  const nothingYet = { status: 404, contentType: "application/json", body: '{"error":{"message":"no such trace"}}' };
  await page.route("**/api/v2/trace/*", (route) => (asked++ === 0 ? route.fulfill(nothingYet) : route.continue()));
  await page.locator(".log-line").first().click();
  await page.click(".to-trace");
  await page.waitForSelector("text=is looked for again");
  await page.waitForSelector(".span-row");
  assert(asked > 1, "it was asked for again");
}

try {
  await logs();
  await keyboard();
  await chips();
  await zoom();
  const spans = await lineToTrace();
  await traces();
  await dependencies();
  await alerts();
  await delivery();
  await hostile();
  await skew();
  await looks();
  assert.deepEqual(complaints, []);
  await mistakes();
  await early();
  console.log(JSON.stringify({ spans, pictures: out }));
} catch (error) {
  await picture("failed");
  console.error(complaints.join("\n"));
  throw error;
} finally {
  await browser.close();
}
