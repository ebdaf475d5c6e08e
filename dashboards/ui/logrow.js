// One line of the list, and what there is to know of it.

import { foreign, h, show } from "/ui/element.js";
import { firstLine, term } from "/ui/text.js";
import { clock, moment } from "/ui/time.js";

const LINE_CHARS = 300;
const BODY_CHARS = 64 * 1024;
const AROUND_MS = 30_000;

/** Columns that are shown otherwise, or of no use to people. */
const HIDDEN = new Set(["tenant", "body", "line", "line_base64", "attributes", "resource_attributes", "timestamp_nanos", "flags"]);

export const keyOf = (log) => `${log.source_id}|${log.source_start}`;

/** OpenTelemetry's name of a severity number. */
export function severityOf(log) {
  const number = log.severity_number ?? 0;
  return ["unknown", "trace", "debug", "info", "warn", "error", "fatal"][number <= 0 ? 0 : Math.min(6, Math.floor((number - 1) / 4) + 1)];
}

export class LogRow {
  constructor(log, add) {
    this.log = log;
    this.add = add;
    this.key = keyOf(log);
    this.order = `${log.timestamp}|${String(log.timestamp_nanos ?? 0).padStart(3, "0")}|${log.source_id}|${String(log.source_start).padStart(20, "0")}`;
    const severity = severityOf(log);
    this.line = h("button", { class: "log-line", type: "button", "aria-expanded": "false", click: () => this.toggle() },
      h("time", { title: log.timestamp, class: "dim" }, clock(log.timestamp)),
      h("span", { class: `sev s-${severity}` }, severity === "unknown" ? "" : severity),
      h("span", { class: "service dim" }, foreign(log.service_name, 40)),
      h("span", { class: "body" }, foreign(firstLine(log.body, LINE_CHARS), LINE_CHARS)));
    this.details = h("div", { class: "details", hidden: true });
    this.element = h("li", { class: "log-row" }, this.line, this.details);
  }

  toggle() {
    const isOpen = this.element.classList.toggle("open");
    this.line.setAttribute("aria-expanded", String(isOpen));
    this.details.hidden = !isOpen;
    if (isOpen) show(this.details, this.about());
    else show(this.details);
  }

  about() {
    const { log } = this;
    const body = h("pre", { class: "body-text" }, foreign(log.body, BODY_CHARS));
    const isLong = String(log.body).length > BODY_CHARS;
    const whole = isLong ? h("button", { click: (event) => { show(body, foreign(log.body)); event.target.remove(); } }, "Show all of it") : null;
    const stack = log.attributes?.["exception.stacktrace"];
    const trace = stack ? h("pre", { class: "body-text" }, foreign(stack, BODY_CHARS)) : null;
    const at = new Date(log.timestamp).getTime();
    const near = new URLSearchParams({ start: new Date(at - AROUND_MS).toISOString(), end: new Date(at + AROUND_MS).toISOString() });
    const pod = log.k8s_pod_name ? ["k8s_pod_name", log.k8s_pod_name] : ["service_name", log.service_name];
    if (pod[1]) near.append("f", term(...pod));
    const own = new URLSearchParams({ query: `source_id:${log.source_id} source_start:${log.source_start}`, start: new Date(at - 1000).toISOString(), end: new Date(at + 1000).toISOString() });
    const actions = h("div", { class: "actions" },
      log.trace_id ? h("a", { class: "to-trace", href: `/trace/${encodeURIComponent(log.trace_id)}` }, "Trace") : null,
      h("a", { href: `/?${near}` }, "Around"),
      h("a", { href: `/?${own}` }, "Link to this line"),
      h("button", { click: () => navigator.clipboard?.writeText(log.line ?? log.body) }, "Copy line"),
      h("span", { class: "dim" }, moment(log.timestamp)));
    return [body, whole, trace, actions, this.fields()];
  }

  fields() {
    const { log } = this;
    const pairs = Object.entries(log).filter(([name, value]) => !HIDDEN.has(name) && value !== null && value !== "");
    pairs.push(...Object.entries(log.attributes ?? {}).map(([name, value]) => [name, value, `attributes.${name}`]));
    pairs.push(...Object.entries(log.resource_attributes ?? {}).map(([name, value]) => [name, value, `resource_attributes.${name}`]));
    return h("table", { class: "fields" }, h("tbody", {}, pairs.map(([name, value, field]) => this.field(name, value, field ?? name))));
  }

  field(name, value, field) {
    const text = typeof value === "object" ? JSON.stringify(value) : String(value);
    const canSearch = !/timestamp/.test(name) && /^[\w.@/-]+$/.test(field);
    const exact = term(field, text);
    const buttons = canSearch ? [
      h("button", { title: `only ${name} of this value`, click: () => this.add(exact) }, "only"), " ",
      h("button", { title: `all but ${name} of this value`, click: () => this.add(`-${exact}`) }, "not"), " "] : [];
    return h("tr", {}, h("td", {}, foreign(name, 120)), h("td", { class: "value" }, foreign(text, 2000)),
      h("td", { class: "do" }, buttons, h("button", { click: () => navigator.clipboard?.writeText(text) }, "copy")));
  }
}
