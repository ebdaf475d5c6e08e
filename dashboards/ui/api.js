// Asks Weir, and keeps what the last answer said of its completeness.

/** An error as Weir says it: message, hint, status. */
export class ApiError extends Error {
  constructor(message, hint, status) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { headers: { accept: "application/json" }, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("Weir does not answer", "Is it running? The page tries again when you do.", 0);
  }
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = undefined;
  }
  if (!response.ok) {
    const said = body?.error;
    throw new ApiError(said?.message ?? (text.slice(0, 300) || response.statusText), said?.hint, response.status);
  }
  return { body, completeness: completeness(response.headers) };
}

function completeness(headers) {
  return {
    until: headers.get("weir-complete-until"),
    heldBy: headers.get("weir-held-by"),
    since: headers.get("weir-incomplete-since"),
    estimated: headers.get("weir-estimated-by"),
    truncated: headers.get("weir-truncated") === "true",
  };
}

/** GET with parameters; those that are empty are left out. */
export function get(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return ask(text ? `${path}?${text}` : path, { signal });
}

/** A statement; the rows as objects. */
export async function sql(statement) {
  const options = { method: "POST", headers: { accept: "application/json", "content-type": "text/plain" }, body: statement };
  const { body, completeness } = await ask("/api/v1/sql", options);
  const names = body.columns.map((column) => column.name);
  const rows = body.rows.map((row) => Object.fromEntries(row.map((value, index) => [names[index], value])));
  return { rows, completeness };
}
