// What fires, which rules there are, and who was told.

import { get } from "/ui/api.js";
import { failure, foreign, h, notice, show } from "/ui/element.js";
import { ago, moment } from "/ui/time.js";

const REFRESH_MS = 3000;

export function open(view) {
  const aborter = new AbortController();
  let timer;
  const place = h("div", {});
  show(view, place);
  async function refresh() {
    try {
      const ask = (name) => get(`/api/v1/${name}`, {}, aborter.signal).then(({ body }) => body);
      const [alerts, rules, notifications] = await Promise.all(["alerts", "rules", "notifications"].map(ask));
      show(place, firing(alerts.data.alerts), ruleList(rules.data.groups), told(notifications.notifications));
    } catch (error) {
      if (error.name === "AbortError") return;
      show(place, failure(error));
    }
    if (!aborter.signal.aborted) timer = setTimeout(refresh, REFRESH_MS);
  }
  refresh();
  return () => {
    aborter.abort();
    clearTimeout(timer);
  };
}

const badge = (state) => h("span", { class: `badge ${{ firing: "bad", err: "bad", dead: "bad", pending: "warn", ok: "ok", delivered: "ok", resolved: "ok", inactive: "" }[state] ?? ""}` }, state);

function table(heads, rows) {
  return h("table", {}, h("thead", {}, h("tr", {}, heads.map((name) => h("th", {}, name)))), h("tbody", {}, rows));
}

function labels(set) {
  return Object.entries(set).filter(([name]) => name !== "alertname").map(([name, value]) => h("span", { class: "mono" }, foreign(`${name}=${value}`, 120), "  "));
}

function firing(alerts) {
  if (alerts.length === 0) return [h("h1", {}, "Alerts"), notice("ok", "Nothing fires.")];
  const row = (alert) => h("tr", {}, h("td", {}, badge(alert.state)), h("td", {}, h("b", {}, foreign(alert.labels.alertname, 80))), h("td", {}, labels(alert.labels)), h("td", {}, foreign(alert.annotations?.summary ?? "", 300)), h("td", { class: "n" }, alert.value), h("td", { title: alert.activeAt }, ago(alert.activeAt)));
  return [h("h1", {}, "Alerts"), table(["State", "Alert", "Labels", "Summary", "Value", "Since"], alerts.map(row))];
}

function ruleList(groups) {
  const rules = groups.flatMap((group) => group.rules.map((rule) => ({ ...rule, group: group.name, file: group.file })));
  if (rules.length === 0) return [h("h2", {}, "Rules"), notice("", "There are no rules. Name files of rules in alerting.rules.")];
  const row = (rule) => h("tr", {}, h("td", {}, badge(rule.state)), h("td", { title: rule.file }, foreign(`${rule.group}/${rule.name}`, 100)), h("td", { class: "mono" }, foreign(rule.query, 400)),
    h("td", {}, badge(rule.health), rule.lastError ? h("div", { class: "s-error" }, foreign(rule.lastError, 400)) : null), h("td", {}, rule.lastEvaluation ? ago(rule.lastEvaluation) : "not yet"));
  return [h("h2", {}, "Rules"), table(["State", "Rule", "Question", "Health", "Evaluated"], rules.map(row))];
}

function told(notifications) {
  if (notifications.length === 0) return [h("h2", {}, "Told"), h("p", { class: "dim" }, "Nobody was told of anything yet.")];
  const row = (one) => h("tr", {}, h("td", {}, moment(one.created_at)), h("td", {}, badge(one.status)), h("td", {}, foreign(one.alertname, 80)), h("td", {}, foreign(one.summary, 300)), h("td", {}, foreign(`${one.receiver} by ${one.integration}`, 80)),
    h("td", {}, badge(one.state), one.attempts > 1 ? ` after ${one.attempts} attempts` : "", one.last_error ? h("div", { class: "s-error" }, foreign(one.last_error, 300)) : null));
  return [h("h2", {}, "Told"), table(["When", "", "Alert", "Summary", "Whom", "Delivery"], notifications.map(row))];
}
