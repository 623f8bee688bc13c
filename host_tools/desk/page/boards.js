// All boards at a glance: what needs a person first, then those that are gone or late.

import { boardLink, proofBadge } from "./card.js";
import { badge, h, icon, rename, s, said } from "./dom.js";
import { MessageList } from "./list.js";
import { ago, clock, count, name, octets, proofInShort, signal, stateOf, threshold } from "./words.js";

const MOST = 1000; // rows that are made unless somebody asks for more
const RANKS = { gone: 1, late: 2, alive: 3 };
const FILTERS = [
  ["all", "All"],
  ["open", "Open"],
  ["gone", "Gone"],
  ["late", "Late"],
  ["alive", "Alive"],
];

const order = new Intl.Collator("en", { numeric: true }); // board2 before board10

/** Return the state of a board: a shape, a colour and a word. */
export const stateBadge = (state) => h("span", { class: `state ${state}` }, icon(state), h("span", {}, state));

/** Return a drawing of how well a board is heard. */
export function bars(dbm) {
  const [, full] = signal(dbm);
  const bar = (n) =>
    s("rect", { x: n * 4, y: 9 - n * 3, width: 2.6, height: 4 + n * 3, rx: 0.8, class: n < full ? "on" : "off" });
  return s("svg", { class: "bars", viewBox: "0 0 15 13", "aria-hidden": "true" }, ...[0, 1, 2, 3].map(bar));
}

class Row {
  constructor(board, now) {
    this.state = h("div", { class: "cell-state" });
    this.name = h("div", { class: "cell-name" });
    this.last = h("div", { class: "cell-last" });
    this.facts = h("div", { class: "cell-facts" });
    this.heard = h("div", { class: "cell-heard" });
    this.element = h("li", { class: "board" }, this.state, this.name, this.last, this.facts, this.heard);
    this.update(board, now);
  }

  update(board, now) {
    this.board = board;
    this.shown = stateOf(board, now);
    this.words = [board.aor, board.last?.display_name, board.last?.subject, board.last?.body].join(" ").toLowerCase();
    this.key = `${board.open ? 0 : RANKS[this.shown]}${RANKS[this.shown]} ${board.aor}`;
    this.element.className = `board ${this.shown} ${board.open ? "has-open" : ""}`;
    this.state.replaceChildren(stateBadge(this.shown));
    const link = boardLink(board.aor, "whole-row");
    link.dataset.item = board.aor;
    if (this.name.contains(document.activeElement)) requestAnimationFrame(() => link.focus());
    this.name.replaceChildren(link, proofBadge(board.proof, proofInShort(board.proof)));
    this.last.replaceChildren(...this.#last(board));
    this.facts.replaceChildren(
      fact("heap free", board.free === null ? null : octets(board.free)),
      fact("signal", board.rssi === null ? null : `${board.rssi} dBm`, board.rssi === null ? null : bars(board.rssi)),
      fact("clock", board.clock === null ? null : clock(board.clock)),
    );
    this.age = h("span", {});
    this.limit = h("span", { class: "limit" });
    this.heard.replaceChildren(this.age, this.limit);
    this.tick(now);
  }

  #last({ last, open }) {
    const text = last && (last.subject || last.body || `a message of ${last.content_type}`);
    return [
      open ? badge("open", "bell", `${open} open`) : null,
      last ? h("span", { class: "last-text" }, said(text)) : h("span", { class: "none-yet" }, "no message yet"),
    ].filter(Boolean);
  }

  /** Show how long ago it was heard; returns whether it has come to another state. */
  tick(now) {
    const { board } = this;
    rename(this.age, ago(now - board.heard));
    const every = board.every ? threshold(board, now).split(", ")[1] : "";
    rename(this.limit, this.shown === "alive" ? every : threshold(board, now));
    return stateOf(board, now) !== this.shown;
  }
}

function fact(label, value, drawing = null) {
  return h(
    "span",
    { class: value === null ? "fact missing" : "fact" },
    h("span", { class: "label" }, label),
    drawing,
    said(value ?? "unknown"),
  );
}

export class BoardsView {
  title = "Boards";
  #desk;
  #rows = new Map();
  #dirty = new Set();
  #most = MOST;

  constructor(desk, { filter = "all", q = "" }) {
    this.#desk = desk;
    this.filter = filter;
    this.search = h("input", {
      type: "search",
      id: "search",
      placeholder: "Find a board",
      "aria-label": "Find a board",
      value: q,
      oninput: () => this.#render(),
    });
    this.filters = FILTERS.map(([kind, label]) =>
      h(
        "button",
        { type: "button", class: `filter ${kind}`, onclick: () => this.#choose(kind) },
        kind in RANKS ? icon(kind) : "",
        `${label} `,
        h("span", { class: "n" }),
      ),
    );
    this.list = h("ul", { class: "boards", "data-items": true });
    this.empty = h("p", { class: "empty", hidden: true });
    this.all = h("button", { type: "button", hidden: true, onclick: () => ((this.#most = Infinity), this.#render()) });
    this.open = new MessageList(desk, { open: 1 }, "No message waits for anybody. Good.");
    this.element = h(
      "div",
      { class: "desk-view" },
      h(
        "section",
        { "aria-labelledby": "boards-title" },
        h("h1", { id: "boards-title" }, "Boards"),
        h(
          "div",
          { class: "toolbar" },
          this.search,
          h("div", { class: "filters", role: "group", "aria-label": "Which boards" }, this.filters),
        ),
        this.list,
        this.empty,
        h("div", { class: "foot" }, this.all),
      ),
      h(
        "aside",
        { "aria-labelledby": "open-title" },
        h("h2", { id: "open-title" }, "Open messages"),
        this.open.element,
      ),
    );
  }

  async load() {
    for (const aor of [...this.#rows.keys(), ...this.#desk.boards.keys()]) this.#dirty.add(aor);
    this.settle();
    await this.open.load();
  }

  take(kind, data) {
    if (kind === "board") this.#dirty.add(data.aor);
    if (kind === "forgotten") for (const aor of data.boards) this.#dirty.add(aor);
    this.open.take(kind, data);
  }

  /** Show what events have brought, all of a moment at once. */
  settle() {
    this.open.settle();
    if (!this.#dirty.size && this.#rows.size) return;
    const now = this.#desk.now();
    for (const aor of this.#dirty) this.#update(aor, now);
    this.#dirty.clear();
    this.#render();
  }

  #update(aor, now) {
    const board = this.#desk.boards.get(aor);
    if (!board) this.#rows.delete(aor);
    else if (this.#rows.has(aor)) this.#rows.get(aor).update(board, now);
    else this.#rows.set(aor, new Row(board, now));
  }

  #choose(kind) {
    this.filter = kind;
    this.#render();
  }

  #wants(row, words) {
    if (words && !row.words.includes(words)) return false;
    return this.filter === "all" || (this.filter === "open" ? row.board.open > 0 : row.shown === this.filter);
  }

  #render() {
    const words = this.search.value.trim().toLowerCase();
    const wanted = [...this.#rows.values()].filter((row) => this.#wants(row, words));
    wanted.sort((a, b) => order.compare(a.key, b.key));
    this.#arrange(wanted.slice(0, this.#most).map((row) => row.element));
    this.all.hidden = wanted.length <= this.#most;
    rename(this.all, `Show all ${count(wanted.length, "board")}`);
    this.#tell(wanted.length);
    this.#count();
  }

  /** Put rows in order with as few moves as it takes. */
  #arrange(rows) {
    const stay = new Set(rows);
    for (const row of [...this.list.children]) if (!stay.has(row)) row.remove();
    let place = this.list.firstElementChild;
    for (const row of rows) {
      if (row === place) place = place.nextElementSibling;
      else this.list.insertBefore(row, place);
    }
  }

  #tell(found) {
    this.empty.hidden = found > 0;
    rename(
      this.empty,
      this.#rows.size
        ? "No board is like that."
        : "No board was heard yet. A board appears here with its first message, heartbeat or registration.",
    );
  }

  #count() {
    const numbers = { ...this.#desk.states, all: this.#rows.size };
    numbers.open = [...this.#rows.values()].filter((row) => row.board.open).length;
    FILTERS.forEach(([kind], at) => {
      this.filters[at].setAttribute("aria-pressed", this.filter === kind);
      rename(this.filters[at].lastElementChild, numbers[kind].toLocaleString("en"));
    });
  }

  tick(now) {
    for (const [aor, row] of this.#rows) if (row.tick(now)) this.#dirty.add(aor);
    this.settle();
    this.open.tick();
  }

  permit() {
    this.open.permit();
  }
}

/** Return the words by which a board is called in an announcement. */
export const spoken = (aor) => name(aor)[0];
