// The search page: a box, a histogram, the newest lines.

import { get } from "/ui/api.js";
import { failure, h, notice, show } from "/ui/element.js";
import { histogram } from "/ui/histogram.js";
import { LogRow, keyOf } from "/ui/logrow.js";
import { go, say } from "/ui/main.js";

const RANGES = [["-15m", "15 minutes"], ["-1h", "1 hour"], ["-6h", "6 hours"], ["-24h", "24 hours"], ["-7d", "7 days"]];
const ROWS = 50;
const ROWS_MAX = 2000;
const ASKED_MAX = 10000;
const REFRESH_MS = 2000;

/** What is asked: text, chips and a span of time, as the address has them. */
class Question {
  constructor(parameters) {
    this.query = parameters.get("query") ?? "";
    this.chips = parameters.getAll("f");
    this.start = parameters.get("start") ?? "-15m";
    this.end = parameters.get("end") ?? "";
    this.isLive = parameters.get("live") === "1";
  }

  get search() {
    const text = /\bOR\b/.test(this.query) && this.chips.length ? `(${this.query})` : this.query;
    return [text, ...this.chips].filter(Boolean).join(" ");
  }

  with(change) {
    const next = Object.assign(Object.create(Question.prototype), this, change);
    const parameters = new URLSearchParams();
    if (next.query) parameters.set("query", next.query);
    for (const chip of next.chips) parameters.append("f", chip);
    if (next.start !== "-15m") parameters.set("start", next.start);
    if (next.end) parameters.set("end", next.end);
    if (next.isLive) parameters.set("live", "1");
    const text = parameters.toString();
    return text ? `/?${text}` : "/";
  }
}

export function open(view, parameters) {
  const question = new Question(parameters);
  const chart = h("div", {});
  const doubts = h("div", {});
  const list = h("ol", { class: "log-list" });
  const foot = h("div", {});
  show(view, form(question), chips(question), chart, doubts, list, foot);
  const rows = new Map();
  const aborter = new AbortController();
  let timer;

  const add = (chip) => question.chips.includes(chip) || go(question.with({ chips: [...question.chips, chip] }));

  async function load(older, limit = ROWS) {
    const end = older ? afterOldest(rows) : question.end;
    const asked = { query: question.search, start: question.start, end, limit };
    try {
      const { body, completeness } = await get("/api/v1/logs", asked, aborter.signal);
      show(doubts, say(completeness));
      let isNew = 0;
      for (const log of body.logs) {
        const key = keyOf(log);
        if (rows.has(key)) continue;
        rows.set(key, new LogRow(log, add));
        isNew += 1;
      }
      // More lines of one instant than were asked for: ask for more, or the older ones are never seen.
      if (older && isNew === 0 && body.logs.length === limit && limit < ASKED_MAX) return load(true, Math.min(limit * 4, ASKED_MAX));
      arrange();
      const isEnd = body.logs.length < limit;
      if (older || timer === undefined) showFoot(isEnd);
    } catch (error) {
      if (error.name !== "AbortError") show(doubts, failure(error));
    }
  }

  function arrange() {
    const sorted = [...rows.values()].sort((a, b) => (a.order < b.order ? 1 : a.order > b.order ? -1 : 0));
    for (const row of sorted.slice(ROWS_MAX)) {
      rows.delete(row.key);
      row.element.remove();
    }
    // What is there already stays where it is, open or not.
    let before = null;
    for (const row of sorted.slice(0, ROWS_MAX).reverse()) {
      if (row.element.nextSibling !== before || !row.element.isConnected) list.insertBefore(row.element, before);
      before = row.element;
    }
  }

  function showFoot(isEnd) {
    if (rows.size === 0) show(foot, notice("", "Nothing found in this span of time. ", h("a", { href: question.with({ start: "-7d", end: "" }) }, "Look through 7 days"), question.search ? [" or ", h("a", { href: question.with({ query: "", chips: [] }) }, "show everything")] : ""));
    else if (rows.size >= ROWS_MAX) show(foot, notice("", `The newest ${ROWS_MAX.toLocaleString("en")} lines are shown: narrow the search or its span to see others.`));
    else if (isEnd) show(foot, h("p", { class: "dim" }, `${rows.size} lines, that is all of this span.`));
    else show(foot, h("button", { click: () => load(true) }, "Older lines"));
  }

  async function draw() {
    try {
      const asked = { query: question.search, start: question.start, end: question.end };
      const { body } = await get("/api/v1/logs/histogram", asked, aborter.signal);
      show(chart, histogram(body, {
        zoom: (start, end) => go(question.with({ start, end, isLive: false })),
        only: (severity) => add(`severity:${severity}`),
      }));
    } catch (error) {
      if (error.name !== "AbortError") show(chart, failure(error));
    }
  }

  async function refresh() {
    await Promise.all([load(false), draw()]);
    if (question.isLive && !aborter.signal.aborted) timer = setTimeout(refresh, REFRESH_MS);
  }

  const keys = (event) => move(event, list);
  document.addEventListener("keydown", keys);
  refresh();
  return () => {
    aborter.abort();
    clearTimeout(timer);
    document.removeEventListener("keydown", keys);
  };
}

/** A moment after the oldest line, so that none of its instant is missed. */
function afterOldest(rows) {
  const oldest = [...rows.values()].reduce((a, b) => (a.order < b.order ? a : b));
  return new Date(new Date(oldest.log.timestamp).getTime() + 1).toISOString();
}

/** j and k go from line to line, Escape closes. */
function move(event, list) {
  if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  const lines = [...list.querySelectorAll(".log-line")];
  const at = lines.indexOf(document.activeElement);
  if (event.key === "j") lines[Math.min(at + 1, lines.length - 1)]?.focus();
  else if (event.key === "k") lines[Math.max(at - 1, 0)]?.focus();
  else if (event.key === "Escape") document.activeElement?.closest?.(".log-row.open")?.querySelector(".log-line").click();
}

function form(question) {
  const query = h("input", { class: "query", name: "query", type: "search", autocomplete: "off", spellcheck: "false", "aria-label": "search", placeholder: 'timeout service_name:checkout severity>=warn "in quotes" -not' });
  query.value = question.query;
  const isListed = !question.end && RANGES.some(([start]) => start === question.start);
  const range = h("select", { name: "range", "aria-label": "span of time" },
    RANGES.map(([start, name]) => h("option", { value: start, selected: isListed && start === question.start }, `last ${name}`)),
    isListed ? null : h("option", { value: "", selected: true }, question.end ? "a part" : question.start));
  range.addEventListener("change", () => range.value && go(question.with({ query: query.value.trim(), start: range.value, end: "" })));
  const submit = (event) => {
    event.preventDefault();
    go(question.with({ query: query.value.trim() }));
  };
  const live = h("button", { type: "button", class: question.isLive ? "on" : "", click: () => go(question.with({ query: query.value.trim(), isLive: !question.isLive, end: "" })) }, question.isLive ? "Live: on" : "Live");
  return h("form", { class: "search", submit }, query, range, h("button", { class: "primary" }, "Search"), live);
}

function chips(question) {
  const chip = (text, index) => h("span", { class: "chip" }, text, h("button", { "aria-label": `remove ${text}`, click: () => go(question.with({ chips: question.chips.filter((_, at) => at !== index) })) }, "×"));
  return h("div", { class: "chips" }, question.chips.map(chip));
}
