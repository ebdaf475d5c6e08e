// How far everything is stored, and every loss.

import { sql } from "/ui/api.js";
import { failure, foreign, h, notice, show } from "/ui/element.js";
import { say } from "/ui/main.js";
import { ago, moment } from "/ui/time.js";

const REFRESH_MS = 5000;

const SOURCES = `SELECT source_id, log_file_path, k8s_namespace_name, k8s_pod_name, resource['weir.source'] AS pushed, covered_end, missing,
  last_observed, committed_at, last_event, lag_ms, events, duplicates, lost, gaps_uncounted, left_out
  FROM weir.delivery ORDER BY lost DESC, gaps DESC, lag_ms DESC NULLS LAST, last_observed DESC LIMIT 200`;
const GAPS = "SELECT source_id, start, \"end\", count, messages, reason, declared, noticed_at FROM weir.gaps ORDER BY declared, noticed_at DESC LIMIT 200";
const LANES = "SELECT agent, partition, mark, heard, status, estimated FROM weir.lanes ORDER BY partition, agent LIMIT 200";
const FILES = "SELECT \"table\", count(*) AS files, sum(rows) AS rows, sum(bytes) AS bytes FROM weir.files GROUP BY 1 ORDER BY 1";

export function open(view) {
  let isOpen = true;
  let timer;
  const place = h("div", {});
  show(view, place);
  async function refresh() {
    try {
      const [gaps, lanes, files, sources] = await Promise.all([sql(GAPS), sql(LANES), sql(FILES), sql(SOURCES)]);
      if (!isOpen) return;
      const doubts = say(sources.completeness);
      show(place, h("h1", {}, "Delivery"), doubts, loss(gaps.rows), complete(sources.completeness), tables(files.rows), laneList(lanes.rows), sourceList(sources.rows));
    } catch (error) {
      if (isOpen) show(place, failure(error));
    }
    if (isOpen) timer = setTimeout(refresh, REFRESH_MS);
  }
  refresh();
  return () => {
    isOpen = false;
    clearTimeout(timer);
  };
}

function table(heads, rows) {
  return h("table", {}, h("thead", {}, h("tr", {}, heads.map((name) => h("th", {}, name)))), h("tbody", {}, rows));
}

function loss(gaps) {
  if (gaps.length === 0) return notice("ok", h("b", {}, "0 gaps. "), "Nothing that was read or answered is missing.");
  const size = (gap) => gap.count?.toLocaleString("en") ?? (gap.messages ? `in ${gap.messages.toLocaleString("en")} messages` : "unknown");
  const row = (gap) => h("tr", {}, h("td", {}, moment(gap.noticed_at)), h("td", { class: "mono" }, foreign(gap.source_id, 80)), h("td", { class: "mono" }, `${gap.start} to ${gap.end}`), h("td", {}, size(gap)), h("td", {}, foreign(gap.reason, 80), gap.declared ? ", as configured" : ""));
  const losses = gaps.filter((gap) => !gap.declared).length;
  const summary = losses ? notice("bad", h("b", {}, `${losses} gaps`)) : notice("ok", h("b", {}, "0 gaps, "), "but for what was left out as configured.");
  return [summary, table(["Noticed", "Source", "Range", "Events", "Reason"], gaps.map(row))];
}

function complete({ until, heldBy }) {
  const text = until ? [h("b", {}, `Complete until ${moment(until)}`), `, ${ago(until)}. All that was written before is in every answer.`] : "No agent has said yet how far it is.";
  return notice(heldBy ? "warn" : "", text);
}

function tables(rows) {
  const row = (file) => h("tr", {}, h("td", {}, file.table), h("td", {}, file.files.toLocaleString("en")), h("td", {}, file.rows.toLocaleString("en")), h("td", {}, `${(file.bytes / 1048576).toFixed(1)} MiB`), h("td", {}, `${(file.bytes / Math.max(file.rows, 1)).toFixed(0)} B`));
  return rows.length ? [h("h2", {}, "Stored"), table(["Table", "Files", "Rows", "Size", "A row"], rows.map(row))] : null;
}

function laneList(rows) {
  const row = (lane) => h("tr", {}, h("td", { class: "mono" }, foreign(lane.agent, 40)), h("td", { class: "mono" }, foreign(lane.partition, 60)), h("td", {}, lane.mark ? `${moment(lane.mark)}, ${ago(lane.mark)}` : "none yet"), h("td", {}, ago(lane.heard)), h("td", {}, lane.status, lane.estimated ? ", estimated" : ""));
  return rows.length ? [h("h2", {}, "Lanes, as of what is stored"), table(["Agent", "Partition", "Complete until", "Heard", "Status"], rows.map(row))] : null;
}

function sourceList(rows) {
  const number = (value) => value.toLocaleString("en");
  const pod = (source) => source.k8s_pod_name && `${source.k8s_namespace_name ?? ""}/${source.k8s_pod_name}`;
  const name = (source) => pod(source) ?? source.log_file_path ?? source.pushed ?? source.source_id;
  const lost = (source) => (source.lost || source.gaps_uncounted ? h("span", { class: "badge bad" }, source.gaps_uncounted ? `${number(source.lost)} or more` : number(source.lost)) : "0");
  const row = (source) => h("tr", {}, h("td", { class: "mono" }, foreign(name(source), 160)), h("td", {}, source.lag_ms === null ? "" : `${(source.lag_ms / 1000).toFixed(1)} s`), h("td", {}, number(source.events)), h("td", {}, number(source.duplicates)), h("td", {}, lost(source)), h("td", {}, number(source.left_out)), h("td", {}, ago(source.last_observed)), h("td", {}, ago(source.committed_at)));
  if (rows.length === 0) return h("p", { class: "dim" }, "No source is stored yet: what came is live, and becomes files within half a minute (ingest.flush_interval).");
  return [h("h2", {}, "Sources"), table(["Source", "Lag", "Events", "Came again", "Lost", "Left out", "Last read", "Stored"], rows.map(row))];
}
