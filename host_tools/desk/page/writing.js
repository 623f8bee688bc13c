// What a person does to a message or a board: a button that sends once, and a form for words to a board.

import { ask, newKey } from "./api.js";
import { h, field, icon, rename } from "./dom.js";
import { way } from "./words.js";

const EXPIRES = [
  [300, "5 minutes"],
  [3600, "1 hour"],
  [28800, "8 hours"],
  [86400, "1 day"],
  [259200, "3 days"],
];
let forms = 0; // made so far
const drafts = new Map(); // path -> what was typed there and not sent
const attempts = new Map(); // path -> what was sent there, when, and its key, until the desk says that it has it
const AGAIN_MS = 300_000; // whoever sends the same words later means another message: of this one he sees what became

/** A button for one action. A second click while the first is under way does nothing; a refusal stays beside it. */
export class Action {
  #desk;
  #isBusy = false;

  /** run: does it, and may raise Refused. */
  constructor(desk, kind, drawing, label, run) {
    this.#desk = desk;
    this.run = run;
    this.button = h("button", { type: "button", class: kind, onclick: () => this.press() }, icon(drawing), label);
    this.error = h("span", { class: "error", role: "alert" });
  }

  async press() {
    if (this.#isBusy) return;
    this.#busy(true);
    rename(this.error, "");
    try {
      await this.run();
    } catch (error) {
      if (error.status === undefined) throw error;
      rename(this.error, this.#inWords(error));
      if (error.status === 401 || error.status === 403) this.#desk.askSession();
    } finally {
      this.#busy(false);
    }
  }

  #busy(isBusy) {
    this.#isBusy = isBusy;
    this.button.setAttribute("aria-disabled", isBusy); // not disabled: that would take the focus away
  }

  #inWords(error) {
    if (error.status === 0) return "No answer: it may have arrived or not. Try again: it is done once.";
    return error.status === 429 && error.retry_s ? `${error.message}: try again in ${error.retry_s} s` : error.message;
  }
}

/** A form for words to a board. They stay until the desk has taken them, also when the form is closed. */
export class Writing {
  #desk;
  #path;
  #expires = h(
    "select",
    {},
    EXPIRES.map(([s, words]) => h("option", { value: s, selected: s === 3600 }, words)),
  );

  /** path: where the words are posted; taken: called with the Reply that the desk makes of them. */
  constructor(desk, path, label, taken) {
    this.#desk = desk;
    this.#path = path;
    this.where = h("p", { class: "hint where", id: `where-${++forms}` });
    this.text = h("textarea", {
      rows: 2,
      "aria-describedby": this.where.id,
      oninput: () => drafts.set(path, this.text.value),
      onkeydown: (e) => this.#key(e),
    });
    this.text.value = drafts.get(path) ?? "";
    this.action = new Action(desk, "primary", "reply", "Send", async () => taken(await this.#send()));
    this.element = h(
      "div",
      { class: "writing" },
      field(label, this.text),
      this.where,
      h(
        "div",
        { class: "row" },
        h("label", { class: "inline" }, "Valid for ", this.#expires),
        this.action.button,
        this.action.error,
      ),
      h("p", { class: "hint" }, "It is kept for a board that sleeps, and dropped once it is no longer valid."),
    );
  }

  /** Say where it goes. board: as far as it is known. */
  tell(board) {
    rename(this.where, way(board, this.#desk.session.guided));
  }

  async #send() {
    const text = this.text.value;
    const body = { text, expires_s: Number(this.#expires.value) };
    const reply = await ask("POST", this.#path, body, this.#desk.session.csrf, this.#keyOf(body));
    drafts.delete(this.#path);
    attempts.delete(this.#path);
    if (this.text.value === text) this.text.value = "";
    return reply;
  }

  /** The same for the same words, so that they go out once. */
  #keyOf(body) {
    const words = JSON.stringify(body);
    const last = attempts.get(this.#path);
    const now = Date.now();
    if (last?.words === words && now - last.at < AGAIN_MS) return last.key;
    const key = newKey();
    attempts.set(this.#path, { words, key, at: now });
    return key;
  }

  #key(event) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.action.press();
  }
}
