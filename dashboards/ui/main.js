// The page: which view an address shows, and what is around every view.

import { h, notice, show } from "/ui/element.js";
import { ago, moment } from "/ui/time.js";
import * as alerts from "/ui/alerts.js";
import * as delivery from "/ui/delivery.js";
import * as dependencies from "/ui/dependencies.js";
import * as logs from "/ui/logs.js";
import * as trace from "/ui/trace.js";
import * as traces from "/ui/traces.js";

const VIEWS = [
  [/^\/$/, logs],
  [/^\/traces$/, traces],
  [/^\/trace\/([0-9a-fA-F]{1,32})$/, trace],
  [/^\/dependencies$/, dependencies],
  [/^\/alerts$/, alerts],
  [/^\/delivery$/, delivery],
];

const view = document.getElementById("view");
let leave = () => {};

/** Goes to an address of the page. */
export function go(address, isReplacing = false) {
  if (isReplacing) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  render();
}

/** Says how complete an answer is, where everybody sees it. */
export function say({ until, heldBy, since, estimated }) {
  const place = document.getElementById("complete");
  show(place, until ? `complete until ${moment(until)}` : "completeness unknown");
  place.title = until ? `${until}, ${ago(until)}` : "no agent has said yet how far it is";
  const doubts = [];
  if (heldBy) doubts.push(notice("warn", h("b", {}, "Held back by "), heldBy));
  if (since) doubts.push(notice("warn", h("b", {}, "May be incomplete since: "), since));
  if (estimated) doubts.push(notice("", "Estimated for ", estimated));
  return doubts;
}

function render() {
  leave();
  leave = () => {};
  const path = location.pathname;
  for (const link of document.querySelectorAll("#nav a")) {
    const target = link.getAttribute("href");
    const isHere = target === path || (target === "/traces" && path.startsWith("/trace/"));
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const [pattern, module] of VIEWS) {
    const match = pattern.exec(path);
    if (match) {
      leave = module.open(view, new URLSearchParams(location.search), match[1]) ?? (() => {});
      return;
    }
  }
  show(view, notice("bad", `There is no page ${path}`));
}

addEventListener("popstate", render);
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  event.preventDefault();
  view.querySelector("input")?.focus();
});

const theme = document.documentElement.classList;
const wished = localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
theme.toggle("dark", wished === "dark");
document.getElementById("theme").addEventListener("click", () => {
  localStorage.setItem("theme", theme.toggle("dark") ? "dark" : "light");
});
render();
