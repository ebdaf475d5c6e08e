// One trace: a waterfall, and what was logged meanwhile.

import { get } from "/ui/api.js";
import { failure, foreign, h, notice, show, svg } from "/ui/element.js";
import { severityOf } from "/ui/logrow.js";
import { say } from "/ui/main.js";
import { colour, firstLine } from "/ui/text.js";
import { clock, duration, moment } from "/ui/time.js";
import { adjust, flatten, grow } from "/ui/tree.js";

const LOGS_MAX = 1000;

/** A trace of which a line is younger than this may be on its way: it is looked for again. */
const YOUNG_MS = 60_000;
const AGAIN_MS = 2000;

export function open(view, _, id) {
  const aborter = new AbortController();
  show(view, h("p", { class: "dim" }, "Reading the trace…"));
  load(view, id, aborter.signal);
  return () => aborter.abort();
}

async function load(view, id, signal) {
  try {
    const [{ body: spans, completeness }, logs] = await Promise.all([get(`/api/v2/trace/${id}`, {}, signal), logsOf(id, signal)]);
    const page = new Page(view, id, spans, logs, say(completeness));
    page.draw(true);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status !== 404) return show(view, failure(error));
    const logs = await logsOf(id, signal).catch(() => []);
    if (signal.aborted) return;
    const isYoung = logs.some((log) => Date.now() - new Date(log.timestamp).getTime() < YOUNG_MS);
    const why = isYoung ? "It may be on its way, and is looked for again." : "It was not sampled, not sent, or is older than what is kept.";
    show(view, notice("warn", h("b", {}, `No span of trace ${id} is here. `), why), logList(logs, "Its logs"));
    if (!isYoung) return;
    const timer = setTimeout(() => load(view, id, signal), AGAIN_MS);
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  }
}

async function logsOf(id, signal) {
  const { body } = await get("/api/v1/logs", { query: `trace_id:${id}`, limit: LOGS_MAX }, signal);
  return body.logs.reverse();
}

class Page {
  constructor(view, id, spans, logs, doubts) {
    Object.assign(this, { view, id, spans, logs, doubts, folded: new Set(), opened: new Set() });
  }

  draw(isAdjusting) {
    const roots = grow(this.spans);
    const adjusted = isAdjusting ? adjust(roots) : 0;
    const rows = flatten(roots);
    const times = rows.filter(({ span }) => span.timestamp).map(({ span, adjusted }) => [span.timestamp + adjusted, span.timestamp + adjusted + (span.duration ?? 0)]);
    const begun = Math.min(...times.map(([from]) => from));
    const ended = Math.max(...times.map(([, to]) => to));
    this.scale = { begun, width: Math.max(ended - begun, 1) };
    const errors = rows.filter(({ span }) => span.tags && "error" in span.tags).length;
    const services = new Set(rows.map(({ span }) => span.localEndpoint?.serviceName));
    const root = rows[0]?.span;
    const figure = (value, name) => h("div", {}, h("b", {}, value), h("span", { class: "dim" }, name));
    const skew = this.skewNotice(isAdjusting, adjusted);
    show(this.view,
      h("h1", {}, foreign(`${root?.localEndpoint?.serviceName ?? "?"}: ${root?.name ?? ""}`, 160)),
      h("div", { class: "figures" }, figure(duration(ended - begun), "took"), figure(rows.length, "spans"), figure(services.size, "services"), figure(errors, "failed"), figure(this.logs.length, "lines"), figure(moment(begun / 1000), "began")),
      h("p", { class: "dim mono" }, this.id, " ", h("a", { href: `/?${new URLSearchParams({ query: `trace_id:${this.id}`, start: "-24h" })}` }, "Search its lines")),
      this.doubts, skew,
      h("div", { class: "waterfall", role: "tree" }, rows.filter((node) => !this.isHidden(node)).map((node) => this.row(node))),
      logList(this.logs, "Lines of this trace", this.spans));
    this.isAdjusting = isAdjusting;
  }

  skewNotice(isAdjusting, adjusted) {
    if (isAdjusting && !adjusted) return null;
    const button = h("button", { click: () => this.draw(!isAdjusting) }, isAdjusting ? "Show as reported" : "Put clocks right");
    return notice("", isAdjusting ? `${adjusted === 1 ? "1 span is" : `${adjusted} spans are`} shown by the clock of the caller: the host's clock is off. ` : "Shown as reported, with clocks that differ. ", button);
  }

  isHidden(node) {
    for (let at = node.parent; at; at = at.parent) if (this.folded.has(at.span)) return true;
    return false;
  }

  row(node) {
    const { span } = node;
    const service = span.localEndpoint?.serviceName ?? "?";
    const isError = span.tags && "error" in span.tags;
    const key = span;
    const logs = this.logs.filter((log) => log.span_id === span.id && (log.service_name === service || !span.shared));
    const fold = node.children.length ? (this.folded.has(key) ? "▸" : "▾") : "";
    const name = h("button", { class: "span-name", type: "button", role: "treeitem", "aria-level": node.depth + 1, title: `${service}: ${span.name ?? ""}`, click: () => this.toggle(this.opened, key) },
      h("span", { class: `pad pad-${Math.min(node.depth, 9)}` }),
      h("span", { class: "fold", click: (event) => { event.stopPropagation(); if (node.children.length) this.toggle(this.folded, key); } }, fold),
      h("span", { class: `dot ${colour(service)}` }),
      h("span", { class: "what" }, h("b", {}, foreign(service, 40)), " ", foreign(span.name ?? "", 80)),
      isError ? h("span", { class: "badge bad" }, "failed") : null,
      node.adjusted ? h("span", { class: "badge", title: "their host's clock is off; shown by the clock of the caller" }, `adjusted by ${node.adjusted > 0 ? "+" : "−"}${duration(Math.abs(node.adjusted))}`) : null);
    const row = h("div", { class: "span-row" }, name, this.track(node, service, isError, logs));
    return this.opened.has(key) ? [row, this.details(node, logs)] : row;
  }

  toggle(set, key) {
    if (!set.delete(key)) set.add(key);
    this.draw(this.isAdjusting);
  }

  track(node, service, isError, logs) {
    const { span, adjusted } = node;
    const share = (micros) => ((micros + adjusted - this.scale.begun) / this.scale.width) * 100;
    const left = span.timestamp ? Math.max(0, share(span.timestamp)) : 0;
    const width = ((span.duration ?? 0) / this.scale.width) * 100;
    const marks = logs.map((log) => share(new Date(log.timestamp).getTime() * 1000)).filter((at) => at >= 0 && at <= 100)
      .map((at) => svg("line", { class: "mark", x1: `${at}%`, x2: `${at}%`, y1: 3, y2: 19 }, svg("title", {}, "a line was logged here")));
    const grid = [25, 50, 75].map((at) => svg("line", { class: "grid", x1: `${at}%`, x2: `${at}%`, y1: 0, y2: 22 }));
    const bar = svg("rect", { class: `${colour(service)} ${isError ? "bad-bar" : ""}`, x: `${left}%`, y: 5, width: `max(${width}%, 2px)`, height: 13, rx: 2 });
    return svg("svg", { class: "track" }, grid, bar, marks, label(left, width, duration(span.duration)));
  }

  details(node, logs) {
    const { span } = node;
    const pairs = [["id", span.id], ["parent", span.parentId], ["kind", span.kind], ["began", span.timestamp ? clock(span.timestamp / 1000) : ""], ["took", duration(span.duration)], ["at", span.localEndpoint?.ipv4], ["other side", span.remoteEndpoint?.serviceName], ...Object.entries(span.tags ?? {})];
    const events = (span.annotations ?? []).map(({ timestamp, value }) => h("tr", {}, h("td", {}, `+${duration(timestamp - (span.timestamp ?? timestamp))}`), h("td", { class: "value" }, foreign(value, 4000))));
    return h("div", { class: "details" },
      h("table", { class: "fields" }, h("tbody", {}, pairs.filter(([, value]) => value).map(([name, value]) => h("tr", {}, h("td", {}, foreign(name, 100)), h("td", { class: "value" }, foreign(value, 4000)))), events)),
      logs.length ? logList(logs, "Logged in it") : null);
  }
}

/** The duration after its bar; before it or in it where there is no room. */
function label(left, width, text) {
  const [at, anchor, shift] = left + width < 86 ? [left + width, "start", 6] : left > 14 ? [left, "end", -6] : [left, "start", 6];
  const isInside = at === left && anchor === "start" && width > 0;
  return svg("text", { x: `${at}%`, dx: shift, y: 15, "text-anchor": anchor, class: isInside ? "inside" : "" }, text);
}

function logList(logs, title) {
  if (logs.length === 0) return h("p", { class: "dim" }, "No line has this trace's id.");
  const row = (log) => {
    const severity = severityOf(log);
    const at = new Date(log.timestamp).getTime();
    const link = new URLSearchParams({ query: `source_id:${log.source_id} source_start:${log.source_start}`, start: new Date(at - 1000).toISOString(), end: new Date(at + 1000).toISOString() });
    return h("tr", {}, h("td", { class: "mono dim" }, h("a", { href: `/?${link}` }, clock(log.timestamp))), h("td", { class: `mono s-${severity}` }, severity), h("td", { class: "mono" }, foreign(log.service_name, 40)), h("td", { class: "mono" }, foreign(firstLine(log.body, 400), 400)));
  };
  return [h("h2", {}, title), h("table", { class: "logs-of-trace" }, h("tbody", {}, logs.map(row)))];
}
