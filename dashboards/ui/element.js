// Makes elements. Text becomes text nodes and nothing else: nothing that comes
// from a log line is ever read as HTML, a style or a script.

import { pieces } from "/ui/text.js";

const SVG = "http://www.w3.org/2000/svg";

/** An element: attributes that are functions listen, children may be nested lists. */
export function h(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

/** The same for drawings. */
export function svg(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** Text from outside: what would control a terminal or turn the direction is shown. */
export function foreign(text, max = Infinity) {
  const parts = pieces(text, max).map(([kind, part]) => (kind === "text" ? part : h("span", { class: "ctl" }, part)));
  return h("span", { class: "isolate", dir: "ltr" }, parts);
}

/** Replaces what an element has. */
export function show(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child || child === 0));
}

/** A line for people: `kind` is bad, warn, ok or nothing. */
export function notice(kind, ...children) {
  return h("div", { class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status" }, children);
}

/** What went wrong, and what to do. */
export function failure(error) {
  return notice("bad", h("b", {}, error.message), error.hint ? h("div", {}, error.hint) : null);
}
