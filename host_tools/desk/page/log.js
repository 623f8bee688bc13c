// What a board says on its cable, as a monitor there has told the desk: its last records, the newest first.

import { ask, boardPath } from "./api.js";
import { h, rename, said } from "./dom.js";
import { iso, moment } from "./words.js";

/** Return the fields of a record as the monitor shows them: name="text" count=3. */
const told = (fields) =>
  Object.entries(fields)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(" ");

export class Log {
  #desk;
  #isAsked = false;
  #isBehind = false;

  constructor(desk, aor) {
    this.#desk = desk;
    this.path = boardPath(aor, "/log");
    this.list = h("ol", { class: "records" });
    this.hint = h("p", { class: "hint" });
    this.element = h(
      "details",
      { class: "log", ontoggle: () => this.tick() },
      h("summary", {}, h("h2", {}, "Log")),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Log records" }, this.list, this.hint),
    );
  }

  /** The board has changed: there may be more. */
  changed() {
    this.#isBehind = true;
  }

  /** Load what is new, if anybody sees it. The first records show themselves. */
  tick() {
    if (this.#isBehind && !this.#isAsked && (this.element.open || !this.list.childElementCount)) return this.load();
  }

  async load() {
    this.#isAsked = true;
    this.#isBehind = false;
    try {
      this.#show((await ask("GET", this.path)).records);
    } catch (error) {
      if (error.status === undefined) throw error;
      rename(this.hint, `Can't read the log: ${error.message}`);
    } finally {
      this.#isAsked = false;
    }
  }

  #show(records) {
    rename(
      this.hint,
      records.length ? "" : "Nobody has told of it: sipmote monitor --desk does, where the board's cable ends.",
    );
    if (!this.list.childElementCount) this.element.open = records.length > 0;
    this.list.replaceChildren(...records.map((record) => this.#record(record)));
  }

  #record({ at, level, event, fields }) {
    return h(
      "li",
      {},
      h("time", { datetime: iso(at) }, moment(at, this.#desk.now())),
      h("b", { "data-level": level }, level),
      said(event, "event"),
      said(told(fields), "fields"),
    );
  }
}
