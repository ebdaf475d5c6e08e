// Who calls whom: a graph and its table.

import { get } from "/ui/api.js";
import { failure, foreign, h, notice, show } from "/ui/element.js";
import { graph } from "/ui/graph.js";
import { go, say } from "/ui/main.js";

const LOOKBACKS = [["900000", "15 minutes"], ["3600000", "1 hour"], ["21600000", "6 hours"], ["86400000", "24 hours"]];

export function open(view, parameters) {
  const lookback = parameters.get("lookback") ?? "3600000";
  const select = h("select", { "aria-label": "span of time" }, LOOKBACKS.map(([millis, name]) => h("option", { value: millis, selected: millis === lookback }, `last ${name}`)));
  select.addEventListener("change", () => go(`/dependencies?lookback=${select.value}`));
  const found = h("div", {});
  show(view, h("form", { class: "search" }, select), found);
  const aborter = new AbortController();
  load(found, lookback, aborter.signal);
  return () => aborter.abort();
}

async function load(found, lookback, signal) {
  try {
    const { body, completeness } = await get("/api/v2/dependencies", { endTs: Date.now(), lookback }, signal);
    const doubts = say(completeness);
    if (body.length === 0) return show(found, doubts, notice("", "No calls between services in this span of time."));
    const rows = [...body].sort((a, b) => b.callCount - a.callCount).map((link) => h("tr", {},
      h("td", {}, foreign(link.parent, 60)), h("td", {}, foreign(link.child, 60)), h("td", { class: "n" }, link.callCount.toLocaleString("en")),
      h("td", { class: "n" }, link.errorCount ? h("span", { class: "badge bad" }, link.errorCount.toLocaleString("en")) : "0"),
      h("td", { class: "n" }, `${(((link.errorCount ?? 0) / link.callCount) * 100).toFixed(1)} %`),
      h("td", {}, h("a", { href: `/traces?${new URLSearchParams({ serviceName: link.child, lookback })}` }, "Traces"))));
    const head = h("tr", {}, ["Caller", "Called"].map((name) => h("th", {}, name)), ["Calls", "Failed", "Share"].map((name) => h("th", { class: "n" }, name)), h("th", {}));
    show(found, doubts, graph(body), h("table", { class: "links" }, h("thead", {}, head), h("tbody", {}, rows)));
  } catch (error) {
    if (error.name !== "AbortError") show(found, failure(error));
  }
}
