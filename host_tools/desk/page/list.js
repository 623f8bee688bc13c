// A list of messages, the newest first, that goes on by itself at its head and by a button at its end.

import { ask, path } from "./api.js";
import { AcknowledgeAll } from "./acknowledge_all.js";
import { Card } from "./card.js";
import { h, rename } from "./dom.js";
import { count } from "./words.js";

const PAGE = 50;
const MOST = 200; // messages at a time: what a storm pushes out at the end is had again by the button
const SEEN_S = 15; // that a message which is done stays in a list of open ones, so that a person sees who did it

export class MessageList {
  #desk;
  #query;
  #next = null; // the id before which there is more, null at the end
  #cards = new Map(); // id -> card
  #missed = 0; // came while a search was on, which alone can say whether it wants them
  #loads = 0;
  #coming = []; // messages that are to be shown

  /** query: board, text, since, until, open; nothing: what they are called when there are none. */
  constructor(desk, query, nothing) {
    this.#desk = desk;
    this.#query = query;
    this.isSearch = Boolean(query.text || query.since || query.until);
    this.list = h("ol", { class: "cards", "data-items": true });
    this.fresh = h("button", { type: "button", class: "fresh", hidden: true, onclick: () => this.load() });
    this.all = new AcknowledgeAll(desk, () => this.#cards.values());
    this.nothing = h("p", { class: "empty", hidden: true }, nothing);
    this.error = h("p", { class: "error", role: "alert" });
    this.end = h("p", { class: "hint end", role: "status" });
    this.older = h("button", { type: "button", hidden: true, onclick: () => this.#more() }, "Older messages");
    this.element = h(
      "div",
      { class: "message-list" },
      this.fresh,
      this.error,
      this.all.element,
      this.list,
      this.nothing,
      h("div", { class: "foot" }, this.end, this.older),
    );
  }

  /** Read it anew; what is open stays open. Raises nothing: the list itself says what is wrong. */
  async load() {
    const mine = ++this.#loads;
    const told = await this.#ask({});
    if (told === null || mine !== this.#loads) return;
    const kept = new Set(told.messages.map((message) => message.id));
    for (const [id, card] of this.#cards) if (!kept.has(id) && !card.isInUse) this.#drop(id);
    this.#missed = 0;
    this.#show(told);
  }

  async #more() {
    const first = this.#cards.size;
    this.older.setAttribute("aria-disabled", "true");
    const told = await this.#ask({ before: this.#next });
    this.older.removeAttribute("aria-disabled");
    if (told === null) return;
    this.#show(told);
    this.list.children[first]?.focus();
  }

  async #ask(where) {
    rename(this.error, "");
    try {
      return await ask("GET", path("/api/messages", { ...this.#query, ...where, limit: PAGE }));
    } catch (error) {
      if (error.status === undefined) throw error;
      rename(this.error, `Can't read messages: ${error.message}`);
      return null;
    }
  }

  #show(told) {
    this.#next = told.next;
    for (const message of told.messages) this.#put(message);
    this.older.hidden = told.next === null;
    rename(this.older, told.complete ? "Older messages" : "Go on searching");
    rename(this.end, this.#ending(told));
    this.#settle();
  }

  #ending(told) {
    if (!told.complete && told.next !== null) return `Searched back to number ${told.next.toLocaleString("en")}.`;
    return told.next === null && this.#cards.size > 5 ? `${count(this.#cards.size, "message")}, that is all.` : "";
  }

  /** Put a message where it belongs: ids are given in the order of coming. */
  #put(message) {
    const known = this.#cards.get(message.id);
    if (known) return known.update(message);
    const card = new Card(this.#desk, message);
    this.#cards.set(message.id, card);
    const isLast = !this.list.lastElementChild || this.list.lastElementChild.card.message.id > message.id;
    const after = isLast ? null : [...this.list.children].find((other) => other.card.message.id < message.id);
    return this.list.insertBefore(card.element, after);
  }

  #drop(id) {
    this.#cards.get(id).element.remove();
    this.#cards.delete(id);
  }

  #settle() {
    while (this.#cards.size > MOST && this.list.getBoundingClientRect().top > -200) this.#pushOut();
    this.nothing.hidden = this.#cards.size > 0 || !this.older.hidden;
    this.all.update();
    this.fresh.hidden = !this.#missed;
    rename(this.fresh, `${count(this.#missed, "message")} came since: search again`);
  }

  #pushOut() {
    const last = this.list.lastElementChild.card.message.id;
    this.#drop(last);
    this.#next = this.list.lastElementChild.card.message.id;
    this.older.hidden = false;
  }

  /** Take an event of the desk. */
  take(kind, data) {
    if (kind === "message") return this.#takeMessage(data);
    if (this.#coming.some((message) => message.id === data.message)) this.settle();
    if (kind === "board") return null;
    this.#cards.get(data.message)?.take(kind, data);
    return this.all.update();
  }

  #takeMessage(message) {
    if (this.#cards.has(message.id)) {
      this.#put(message);
      return this.all.update();
    }
    const newest = this.list.firstElementChild?.card.message.id ?? 0;
    const oldest = this.#next === null ? 0 : (this.list.lastElementChild?.card.message.id ?? 0);
    if (message.id < oldest) return null;
    if (this.isSearch) this.#missed += message.id > newest ? 1 : 0;
    else if (this.#wants(message)) this.#coming.push(message);
    return null;
  }

  /** Show what has come, all of a moment at once; of a storm its end, as the desk has it. */
  settle() {
    const coming = this.#coming.splice(0);
    if (coming.length > PAGE) return this.load();
    for (const message of coming) this.#put(message);
    return this.#settle();
  }

  #wants(message) {
    return (!this.#query.board || this.#query.board === message.from) && !(this.#query.open && !message.open);
  }

  tick() {
    for (const card of this.#cards.values()) card.tick();
    if (this.#query.open) this.#tidy(this.#desk.now() - SEEN_S);
  }

  /** Of what is open, show no longer what was done before that moment, unless somebody is at it. */
  #tidy(moment) {
    const done = [...this.#cards].filter(
      ([, { message, element }]) =>
        message.acknowledged && message.acknowledged.at < moment && !element.contains(document.activeElement),
    );
    for (const [id] of done) this.#drop(id);
    if (done.length) this.#settle();
  }

  permit() {
    for (const card of this.#cards.values()) card.permit();
    this.all.update();
  }
}
