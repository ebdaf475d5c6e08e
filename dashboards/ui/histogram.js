// Bars over time, stacked by severity. Dragging over them zooms in.

import { h, svg } from "/ui/element.js";
import { moment } from "/ui/time.js";

const SEVERITIES = ["fatal", "error", "warn", "info", "debug", "trace", "unknown"];
const WIDTH = 1200;
const HEIGHT = 90;

export function histogram(body, { zoom, only }) {
  const start = new Date(body.start).getTime();
  const end = new Date(body.end).getTime();
  const scale = WIDTH / Math.max(end - start, 1);
  const sums = body.buckets.map(({ counts }) => Object.values(counts).reduce((sum, count) => sum + count, 0));
  const most = Math.max(1, ...sums);
  const bars = body.buckets.flatMap(({ timestamp, counts }, index) => {
    const left = Math.max(0, (new Date(timestamp).getTime() - start) * scale);
    const width = Math.max(1, body.step_s * 1000 * scale - 1);
    let top = HEIGHT;
    return SEVERITIES.filter((severity) => counts[severity]).map((severity) => {
      const height = Math.max(1, (counts[severity] / most) * (HEIGHT - 6));
      top -= height;
      const title = svg("title", {}, `${moment(timestamp)}: ${counts[severity]} ${severity}, ${sums[index]} in all`);
      return svg("rect", { class: `s-${severity}`, x: left.toFixed(1), y: top.toFixed(1), width: width.toFixed(1), height: height.toFixed(1) }, title);
    });
  });
  const chart = svg("svg", { class: "histogram", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": `${sums.reduce((a, b) => a + b, 0)} lines over time` }, bars);
  brush(chart, (from, to) => zoom(new Date(start + from / scale).toISOString(), new Date(start + to / scale).toISOString()));
  const totals = Object.fromEntries(SEVERITIES.map((severity) => [severity, body.buckets.reduce((sum, { counts }) => sum + (counts[severity] ?? 0), 0)]));
  const legend = SEVERITIES.filter((severity) => totals[severity]).map((severity) =>
    h("button", { class: `s-${severity}`, title: severity === "unknown" ? "" : `only ${severity}`, click: () => severity !== "unknown" && only(severity) }, `■ ${severity} ${totals[severity].toLocaleString("en")}`));
  return [chart, h("div", { class: "axis" }, h("span", {}, moment(body.start)), h("span", { class: "legend" }, legend), h("span", {}, moment(body.end)))];
}

function brush(chart, done) {
  let from;
  const mark = svg("rect", { class: "brush", y: 0, height: HEIGHT, x: 0, width: 0 });
  const at = (event) => {
    const box = chart.getBoundingClientRect();
    return Math.min(WIDTH, Math.max(0, ((event.clientX - box.left) / box.width) * WIDTH));
  };
  chart.addEventListener("pointerdown", (event) => {
    from = at(event);
    chart.setPointerCapture(event.pointerId);
    chart.append(mark);
  });
  chart.addEventListener("pointermove", (event) => {
    if (from === undefined) return;
    const to = at(event);
    mark.setAttribute("x", Math.min(from, to));
    mark.setAttribute("width", Math.abs(to - from));
  });
  chart.addEventListener("pointerup", (event) => {
    const [begun, to] = [from, at(event)];
    from = undefined;
    mark.remove();
    if (begun !== undefined && Math.abs(to - begun) > 6) done(Math.min(begun, to), Math.max(begun, to));
  });
}
