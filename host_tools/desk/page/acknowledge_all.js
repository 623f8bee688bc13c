// Acknowledges all of a list that is open at once: what a person sees there, and nothing that comes meanwhile.

import { ask } from "./api.js";
import { h, icon, rename } from "./dom.js";
import { count } from "./words.js";
import { Action } from "./writing.js";

export class AcknowledgeAll {
  #desk;
  #cards;
  #asked = []; // messages that a person was asked about

  /** cards: gives those that the list shows. */
  constructor(desk, cards) {
    this.#desk = desk;
    this.#cards = cards;
    this.words = h("span", {});
    this.begin = h("button", { type: "button", onclick: () => this.#ask() }, icon("check"), this.words);
    this.question = h("span", { id: "sure" });
    this.action = new Action(desk, "primary", "check", "Acknowledge", () => this.#acknowledge());
    this.action.button.setAttribute("aria-describedby", this.question.id);
    const no = h("button", { type: "button", onclick: () => this.#close() }, "No");
    this.sure = h("div", { class: "row", hidden: true }, this.question, this.action.button, no);
    this.element = h("div", { class: "batch" }, this.begin, this.sure, this.action.error);
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && this.#close());
    this.update();
  }

  /** The list has changed, or who looks may do something else. */
  update() {
    const { length } = this.#open();
    rename(this.words, `Acknowledge all ${length} open ones below`);
    this.begin.hidden = length < 2 || !this.#desk.session.may_act || !this.sure.hidden;
    if (!this.#desk.session.may_act) this.sure.hidden = true;
  }

  #open() {
    return [...this.#cards()].map((card) => card.message).filter((message) => message.open);
  }

  #ask() {
    this.#asked = this.#open();
    const boards = new Set(this.#asked.map((message) => message.from)).size;
    rename(this.question, `${count(this.#asked.length, "message")} of ${count(boards, "board")}: has somebody seen to all?`);
    this.sure.hidden = false;
    this.update();
    this.action.button.focus();
  }

  #close() {
    this.sure.hidden = true;
    rename(this.action.error, "");
    this.update();
    if (!this.begin.hidden) this.begin.focus();
  }

  async #acknowledge() {
    const messages = this.#asked.map((message) => message.id);
    const { acknowledged } = await ask("POST", "/api/acknowledgements", { messages }, this.#desk.session.csrf);
    const others = messages.length - acknowledged.length;
    const rest = others ? `; of ${count(others, "other")} somebody had before` : "";
    this.#desk.announce(`${count(acknowledged.length, "message")} acknowledged${rest}`);
    this.#close();
  }
}
