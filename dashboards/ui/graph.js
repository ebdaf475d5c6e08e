// A drawing of who calls whom: callers left, the called right.

import { svg } from "/ui/element.js";

const BOX = { width: 132, height: 30, across: 236, down: 50 };
const ROUNDS = 8;

/** The drawing of Zipkin's links. */
export function graph(links) {
  const calls = links.filter(({ parent, child }) => parent !== child);
  const layers = layersOf(links, calls);
  const ways = calls.map((link) => ({ link, stops: stopsOf(link, layers) }));
  const columns = columnsOf(layers, ways);
  untangle(columns, ways);
  const tallest = Math.max(...columns.map((column) => column.length));
  const place = new Map();
  columns.forEach((column, across) => column.forEach((stop, down) => place.set(stop, {
    x: 8 + across * BOX.across, y: 8 + (down + (tallest - column.length) / 2) * BOX.down + BOX.height / 2 })));
  const width = 16 + (columns.length - 1) * BOX.across + BOX.width;
  const height = 16 + (tallest - 1) * BOX.down + BOX.height;
  const boxes = [...layers.keys()].map((name) => {
    const { x, y } = place.get(name);
    return [svg("rect", { x, y: y - BOX.height / 2, width: BOX.width, height: BOX.height, rx: 5 }, svg("title", {}, name)),
      svg("text", { x: x + BOX.width / 2, y: y + 5, "text-anchor": "middle" }, name.length > 17 ? `${name.slice(0, 16)}…` : name)];
  });
  const arrow = svg("defs", {}, svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, svg("path", { d: "M0 0 8 4 0 8z" })));
  return svg("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${layers.size} services` },
    arrow, ways.map((way) => edge(way, place)), boxes, ways.map((way) => count(way, place)));
}

/** Each name's layer: behind all its callers; a circle stops at what is placed already. */
function layersOf(links, calls) {
  const names = [...new Set(links.flatMap(({ parent, child }) => [parent, child]))].sort();
  const layers = new Map(names.map((name) => [name, 0]));
  for (let round = 0; round < names.length; round += 1) {
    let isSettled = true;
    for (const { parent, child } of calls) {
      if (layers.get(child) <= layers.get(parent) && layers.get(parent) + 1 < names.length) {
        layers.set(child, layers.get(parent) + 1);
        isSettled = false;
      }
    }
    if (isSettled) break;
  }
  return layers;
}

/** What an edge passes: its ends, and a free place in every layer between, so that it crosses no box. */
function stopsOf({ parent, child }, layers) {
  const stops = [parent];
  for (let layer = layers.get(parent) + 1; layer < layers.get(child); layer += 1) stops.push({ layer });
  stops.push(child);
  return stops;
}

function columnsOf(layers, ways) {
  const columns = [];
  for (const [name, layer] of layers) (columns[layer] ??= []).push(name);
  for (const { stops } of ways) for (const stop of stops) if (stop.layer !== undefined) columns[stop.layer].push(stop);
  return columns.filter(Boolean);
}

/** Orders each column by where its neighbours are, there and back, which removes most crossings. */
function untangle(columns, ways) {
  const near = new Map();
  for (const { stops } of ways) {
    stops.forEach((stop, index) => {
      const list = near.get(stop) ?? [];
      if (index > 0) list.push(stops[index - 1]);
      if (index + 1 < stops.length) list.push(stops[index + 1]);
      near.set(stop, list);
    });
  }
  const at = new Map();
  const number = (column) => column.forEach((stop, index) => at.set(stop, index - (column.length - 1) / 2));
  columns.forEach(number);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const column of round % 2 ? [...columns].reverse() : columns) {
      const middle = new Map(column.map((stop) => {
        const around = near.get(stop) ?? [];
        return [stop, around.length ? around.reduce((sum, one) => sum + at.get(one), 0) / around.length : at.get(stop)];
      }));
      column.sort((a, b) => middle.get(a) - middle.get(b));
      number(column);
    }
  }
}

const failed = ({ errorCount }) => errorCount ?? 0;

function edge({ link, stops }, place) {
  const points = stops.map((stop) => place.get(stop));
  let path = `M${points[0].x + BOX.width} ${points[0].y}`;
  for (let index = 1; index < points.length; index += 1) {
    const [from, to] = [points[index - 1], points[index]];
    const bend = (BOX.across - BOX.width) / 2;
    path += ` C${from.x + BOX.width + bend} ${from.y} ${to.x - bend} ${to.y} ${to.x} ${to.y}`;
    // Through the free place, straight.
    if (index + 1 < points.length) path += ` H${to.x + BOX.width}`;
  }
  const said = `${link.parent} calls ${link.child}: ${link.callCount} calls, ${failed(link)} failed`;
  return svg("path", { class: `edge ${failed(link) ? "bad" : ""}`, d: path, "marker-end": "url(#arrow)" }, svg("title", {}, said));
}

/** How many calls, on a way of several layers where it is alone, else halfway. */
function count({ link, stops }, place) {
  const points = stops.map((stop) => place.get(stop));
  const [from, to] = [points[0], points[1]];
  const [x, y] = points.length > 2 ? [to.x + BOX.width / 2, to.y - 4] : [(from.x + BOX.width + to.x) / 2, (from.y + to.y) / 2 - 4];
  return svg("text", { class: "count", x, y, "text-anchor": "middle" }, failed(link) ? `${link.callCount}, ${failed(link)} failed` : link.callCount);
}
