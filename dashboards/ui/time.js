// Times as people read them.

const two = (number) => String(number).padStart(2, "0");

/** 12:34:56.789 by this computer's clock. */
export function clock(text) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return String(text ?? "");
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

/** The day before it, unless it is today. */
export function moment(text) {
  const time = new Date(text);
  if (Number.isNaN(time.getTime())) return String(text ?? "");
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  const isToday = time.toDateString() === new Date().toDateString();
  return isToday ? clock(text).slice(0, 8) : `${day} ${clock(text).slice(0, 8)}`;
}

/** Microseconds as Zipkin writes them. */
export function duration(micros) {
  if (micros === undefined || micros === null) return "";
  if (micros < 1000) return `${micros}µs`;
  if (micros < 1e6) return `${trimmed(micros / 1000)}ms`;
  return `${trimmed(micros / 1e6)}s`;
}

const trimmed = (number) => (number >= 100 ? number.toFixed(0) : number.toFixed(number >= 10 ? 1 : 2)).replace(/\.?0+$/, (zeros) => (zeros.startsWith(".") ? "" : zeros));

/** How long ago. */
export function ago(text) {
  const seconds = (Date.now() - new Date(text).getTime()) / 1000;
  if (Number.isNaN(seconds)) return "";
  if (seconds < 0.95) return "now";
  if (seconds < 90) return `${seconds.toFixed(0)} s ago`;
  if (seconds < 5400) return `${(seconds / 60).toFixed(0)} min ago`;
  return `${(seconds / 3600).toFixed(1)} h ago`;
}
