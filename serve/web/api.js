// Talks to the API. Knows nothing of the page.

const STORED = "groundling-key";

export class ApiError extends Error {
  constructor(status, error) {
    super(error?.message || `The service answered ${status}.`);
    this.status = status;
    this.code = error?.code ?? null;
  }
}

export const key = {
  get: () => localStorage.getItem(STORED),
  set: (text) => localStorage.setItem(STORED, text),
  forget: () => localStorage.removeItem(STORED),
  // A link may bring a key in its fragment, which browsers do not send; it is taken out of the address at once.
  // The first one is taken unasked, since `groundling serve` prints such a link at its first start. Returns a key that
  // would replace another one, which is for the person to decide: anybody can make a link, and what is written under
  // somebody else's key is theirs to read.
  takeFromAddress() {
    const given = new URLSearchParams(location.hash.slice(1)).get("key");
    if (!given) return null;
    history.replaceState(null, "", location.pathname);
    if (key.get() && key.get() !== given) return given;
    key.set(given);
    return null;
  },
};

const BROKEN = { message: "The connection broke before the answer was complete. Send it again.", code: "broken" };

// A body that breaks off is no fault of the page: browsers call it a TypeError, and what came of it may not parse.
async function whole(reading) {
  try {
    return await reading;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, BROKEN);
  }
}

async function send(method, path, body, signal, more = {}) {
  const headers = { ...more };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { message: "The service cannot be reached.", code: "unreachable" });
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => null);
    throw new ApiError(response.status, problem?.error);
  }
  return response;
}

export async function call(method, path, body, signal) {
  const response = await send(method, path, body, signal);
  return response.status === 204 ? null : whole(response.json());
}

// An Idempotency-Key. Not `randomUUID`, which browsers keep from pages that came over plain http.
export function onceKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Sends a message and calls on[event](data) for each server-sent event: progress, delta, turn, error. Sent again under
// the same key `once`, the same message gives the turn of the first time, if there was one.
export async function streamTurn(body, once, on, signal) {
  const response = await send("POST", "/v1/turns", { ...body, stream: true }, signal, { "Idempotency-Key": once });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let ended = false;
  while (!ended) {
    const { value, done } = await whole(reader.read());
    if (done) break;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const { event, data } = parse(block);
      if (event === "done") ended = true;
      else if (event === "error") throw new ApiError(200, data.error);
      else if (event) on[event]?.(data);
    }
  }
  if (!ended) throw new ApiError(0, BROKEN);
}

function parse(block) {
  let event = null;
  let data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) event = line.slice(7);
    else if (line.startsWith("data: ")) data += line.slice(6);
  }
  return { event, data: data ? JSON.parse(data) : null };
}
