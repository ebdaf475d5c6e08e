// Finding traces, as Zipkin's search does.

import { get } from "/ui/api.js";
import { failure, foreign, h, notice, show } from "/ui/element.js";
import { go, say } from "/ui/main.js";
import { colour } from "/ui/text.js";
import { duration, moment } from "/ui/time.js";

const LOOKBACKS = [["900000", "15 minutes"], ["3600000", "1 hour"], ["21600000", "6 hours"], ["86400000", "24 hours"]];

export function open(view, parameters) {
  const field = (name, other = "") => parameters.get(name) ?? other;
  const service = h("select", { name: "serviceName", "aria-label": "service" }, h("option", { value: "" }, "any service"));
  const input = (name, placeholder) => {
    const element = h("input", { name, placeholder, "aria-label": placeholder, autocomplete: "off" });
    element.value = field(name);
    return element;
  };
  const lookback = h("select", { name: "lookback", "aria-label": "span of time" }, LOOKBACKS.map(([millis, name]) => h("option", { value: millis, selected: millis === field("lookback", "3600000") }, `last ${name}`)));
  const limit = h("select", { name: "limit", "aria-label": "how many" }, ["20", "50", "200"].map((count) => h("option", { value: count, selected: count === field("limit", "20") }, `${count} traces`)));
  const submit = (event) => {
    event.preventDefault();
    const wanted = new URLSearchParams();
    for (const [name, value] of new FormData(event.target)) if (value) wanted.set(name, value);
    go(`/traces?${wanted}`);
  };
  const found = h("div", {});
  show(view, h("form", { class: "search", submit }, service, input("spanName", "span name"), input("annotationQuery", "error and http.route=/order"), input("minDuration", "at least, µs"), lookback, limit, h("button", { class: "primary" }, "Search")), found);
  const aborter = new AbortController();
  services(service, field("serviceName"), aborter.signal);
  search(found, { serviceName: field("serviceName"), spanName: field("spanName"), annotationQuery: field("annotationQuery"), minDuration: field("minDuration"), lookback: field("lookback", "3600000"), limit: field("limit", "20") }, aborter.signal);
  return () => aborter.abort();
}

async function services(select, chosen, signal) {
  try {
    const { body } = await get("/api/v2/services", {}, signal);
    for (const name of body) select.append(h("option", { value: name, selected: name === chosen }, name));
  } catch {
    if (chosen) select.append(h("option", { value: chosen, selected: true }, chosen));
  }
}

async function search(found, wanted, signal) {
  try {
    const { body, completeness } = await get("/api/v2/traces", wanted, signal);
    const doubts = say(completeness);
    if (body.length === 0) {
      show(found, doubts, notice("", "No trace found. Spans come by OTLP on 4317, 4318 and this port, or by Zipkin on 9411 and this port."));
      return;
    }
    const head = h("tr", {}, ["Began", "Root", "Services", "Spans", "Took", ""].map((name) => h("th", {}, name)));
    show(found, doubts, h("table", {}, h("thead", {}, head), h("tbody", {}, body.map(row))));
  } catch (error) {
    if (error.name !== "AbortError") show(found, failure(error));
  }
}

function row(spans) {
  const root = spans.find((span) => !span.parentId) ?? spans[0];
  const begun = Math.min(...spans.map((span) => span.timestamp ?? Infinity));
  const ended = Math.max(...spans.map((span) => (span.timestamp ?? 0) + (span.duration ?? 0)));
  const names = [...new Set(spans.map((span) => span.localEndpoint?.serviceName ?? "?"))];
  const errors = spans.filter((span) => span.tags && "error" in span.tags).length;
  return h("tr", {},
    h("td", {}, moment(begun / 1000)),
    h("td", {}, h("a", { href: `/trace/${root.traceId}` }, foreign(`${root.localEndpoint?.serviceName ?? "?"}: ${root.name ?? ""}`, 90))),
    h("td", {}, names.map((name) => [h("span", { class: `dot ${colour(name)}` }), " ", foreign(name, 40), "  "])),
    h("td", {}, spans.length),
    h("td", {}, duration(root.duration ?? ended - begun)),
    h("td", {}, errors ? h("span", { class: "badge bad" }, `${errors} failed`) : null));
}
