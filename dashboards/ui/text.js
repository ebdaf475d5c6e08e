// Text from outside, cut and with its control characters made visible.

const ESCAPED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

function picture(letter) {
  const code = letter.codePointAt(0);
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `<U+${code.toString(16).toUpperCase().padStart(4, "0")}>`;
}

/** The text as pieces: ["text", ...] as it is, ["control", ...] what was made visible. */
export function pieces(text, max = Infinity) {
  const whole = String(text ?? "");
  const cut = whole.length > max ? whole.slice(0, max) : whole;
  const found = [];
  let at = 0;
  for (const match of cut.matchAll(ESCAPED)) {
    if (match.index > at) found.push(["text", cut.slice(at, match.index)]);
    found.push(["control", picture(match[0])]);
    at = match.index + match[0].length;
  }
  if (at < cut.length) found.push(["text", cut.slice(at)]);
  if (cut.length < whole.length) found.push(["control", `… ${whole.length - cut.length} more`]);
  return found;
}

/** The first line, for a list. */
export function firstLine(text, max) {
  const whole = String(text ?? "");
  return whole.slice(0, max + 1).replace(/[\r\n]+/g, "⏎ ");
}

/** A term of a search: field:"value". */
export function term(field, value) {
  return `${field}:"${String(value).replace(/\\/g, "\\\\").replace(/"/g, '\\"')}"`;
}

const COLOURS = 10;
const coloured = new Map();

/** A class of colour for a name: the same wherever it is shown, and another's only when all are taken. */
export function colour(name) {
  const key = String(name);
  if (coloured.has(key)) return coloured.get(key);
  let sum = 7;
  for (const letter of key) sum = (sum * 31 + letter.codePointAt(0)) >>> 0;
  const taken = new Set(coloured.values());
  let number = sum % COLOURS;
  for (let step = 0; step < COLOURS && taken.has(`k${number}`); step += 1) number = (number + 1) % COLOURS;
  coloured.set(key, `k${number}`);
  return `k${number}`;
}
