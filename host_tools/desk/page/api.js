// Asks the desk: JSON over HTTP, and the events that it sends by itself.

const KINDS = ["message", "board", "reply", "acknowledgement", "forgotten", "counts"];
const PAUSES_S = [1, 2, 5, 10]; // before the desk is asked again

/** What the desk has answered that isn't what was asked for. status 0: nobody has answered. */
export class Refused extends Error {
  constructor(status, text, retry_s = 0) {
    super(text);
    this.status = status;
    this.retry_s = retry_s;
  }
}

/** Return a path of the API with its query; null and "" are left out. */
export function path(base, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return given.length ? `${base}?${new URLSearchParams(given)}` : base;
}

export const boardPath = (aor, rest = "") => `/api/boards/${encodeURIComponent(aor)}${rest}`;

/** What stands for one thing that a person wants, however often the desk has to be asked for it. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");

/**
 * Ask for JSON; body: what is sent along, csrf: the token of the session that actions need, key: a newKey(), for what
 * must not be done twice. Raises Refused.
 */
export async function ask(method, url, body = null, csrf = null, key = null) {
  const headers = { Accept: "application/json" };
  if (body !== null) headers["Content-Type"] = "application/json";
  if (csrf) headers["X-CSRF-Token"] = csrf;
  if (key) headers["Idempotency-Key"] = key;
  let answer;
  try {
    answer = await fetch(url, { method, headers, body: body === null ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, "the desk doesn't answer");
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  throw new Refused(answer.status, told.error ?? `the desk says ${answer.status} ${answer.statusText}`, told.retry_s);
}

/**
 * The stream of events. What was missed while it was down comes after it, by the ids that events have; where that
 * can't be, owner.load() reads everything anew. Events that come meanwhile wait for it: they are younger.
 */
export class Stream {
  #owner;
  #source = null;
  #timer = null;
  #failures = 0;
  #knowsWhere = false; // has an event had an id to go on from?
  #waiting = null; // events while everything is read anew
  #isAskedAgain = false; // did more come than the desk tells one by one, meanwhile?

  /** owner: has load(), taken(kind, data), connected() and disconnected(isRefused). */
  constructor(owner) {
    this.#owner = owner;
  }

  open() {
    this.close();
    this.#knowsWhere = false;
    const source = (this.#source = new EventSource("/api/events"));
    source.onopen = () => (this.#knowsWhere ? this.#owner.connected() : this.#loadAnew(source));
    source.onerror = () => this.#failed(source);
    source.addEventListener("reset", () => this.#loadAnew(source));
    for (const kind of KINDS) source.addEventListener(kind, (event) => this.#take(kind, event));
  }

  close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = this.#waiting = null;
  }

  #take(kind, event) {
    this.#knowsWhere ||= event.lastEventId !== "";
    const data = JSON.parse(event.data);
    if (this.#waiting) this.#waiting.push([kind, data]);
    else this.#owner.taken(kind, data);
  }

  async #loadAnew(source) {
    this.#isAskedAgain = this.#waiting !== null;
    if (this.#isAskedAgain) return;
    this.#waiting = [];
    try {
      do {
        this.#waiting = [];
        this.#isAskedAgain = false;
        await this.#owner.load();
      } while (this.#isAskedAgain && source === this.#source);
    } catch {
      if (source === this.#source) this.#failed(source, true);
      return;
    }
    if (source !== this.#source) return;
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    this.#failures = 0;
    for (const [kind, data] of waiting) this.#owner.taken(kind, data);
    this.#owner.connected();
  }

  #failed(source, isOver = source.readyState === EventSource.CLOSED) {
    this.#owner.disconnected();
    if (!isOver) return; // the browser tries again, and says from where
    this.close();
    this.#timer = setTimeout(
      () => this.#owner.reopen(),
      1000 * PAUSES_S[Math.min(this.#failures++, PAUSES_S.length - 1)],
    );
  }
}
