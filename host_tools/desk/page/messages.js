// All messages: as they come, those that are open, or what a search finds.

import { ask, path } from "./api.js";
import { Card } from "./card.js";
import { field, h, rename } from "./dom.js";
import { MessageList } from "./list.js";

const SINCE = [
  ["", "at any time"],
  [3600, "in the last hour"],
  [86400, "in the last day"],
  [604800, "in the last 7 days"],
  [2592000, "in the last 30 days"],
];

/** Return the address of the view with this query. */
export const messagesAt = (query) => path("#/messages", query);

export class MessagesView {
  title = "Messages";
  #desk;

  constructor(desk, { text = "", open = "", board = "", hours = "" }) {
    this.#desk = desk;
    const since = hours ? Math.floor(desk.now() - Number(hours)) : "";
    const query = { text, open, board, since };
    this.list = new MessageList(
      desk,
      query,
      text || board || hours
        ? "Nothing is like that."
        : open
          ? "No message waits for anybody. Good."
          : "No message has come yet.",
    );
    this.text = h("input", {
      type: "search",
      id: "search",
      value: text,
      placeholder: "Search in texts and subjects",
      "aria-label": "Search in texts and subjects",
    });
    this.board = h("input", {
      type: "text",
      value: board,
      list: "boards-known",
      placeholder: "sip:boiler@example.org",
      autocomplete: "off",
      spellcheck: "false",
    });
    this.hours = h(
      "select",
      {},
      SINCE.map(([value, words]) => h("option", { value, selected: String(value) === hours }, words)),
    );
    this.open = h("input", { type: "checkbox", checked: Boolean(open), onchange: () => this.#search() });
    this.hours.addEventListener("change", () => this.#search());
    this.element = h(
      "div",
      { class: "messages-view" },
      h("h1", {}, "Messages"),
      h(
        "form",
        {
          class: "toolbar",
          role: "search",
          onsubmit: (event) => {
            event.preventDefault();
            this.#search();
          },
        },
        this.text,
        field("Board", this.board),
        field("Came", this.hours),
        h("label", { class: "inline" }, this.open, "open only"),
        h("button", { type: "submit" }, "Search"),
        h("a", { class: "csv", href: path("/api/messages.csv", query), download: "messages.csv" }, "As a table (CSV)"),
      ),
      h(
        "datalist",
        { id: "boards-known" },
        [...desk.boards.keys()].slice(0, 1000).map((aor) => h("option", { value: aor })),
      ),
      h("h2", { class: "unseen" }, "The newest first"),
      this.list.element,
    );
  }

  #search() {
    const query = {
      text: this.text.value.trim(),
      board: this.board.value.trim(),
      hours: this.hours.value,
      open: this.open.checked ? 1 : "",
    };
    location.hash = messagesAt(query);
  }

  load() {
    return this.list.load();
  }

  take(kind, data) {
    this.list.take(kind, data);
  }

  settle() {}

  tick() {
    this.list.tick();
  }

  permit() {
    this.list.permit();
  }
}

/** One message by its number: what a link to it leads to. */
export class MessageView {
  #desk;
  #card = null;

  constructor(desk, { id }) {
    this.#desk = desk;
    this.id = Number(id);
    this.title = `Message ${id}`;
    this.list = h("ol", { class: "cards", "data-items": true });
    this.error = h("p", { class: "error", role: "alert" });
    this.element = h(
      "div",
      { class: "messages-view" },
      h("a", { class: "back", href: "#/messages" }, "← Messages"),
      h("h1", {}, this.title),
      h("h2", { class: "unseen" }, "What it says"),
      this.error,
      this.list,
    );
  }

  async load() {
    try {
      this.#show(await ask("GET", `/api/messages/${this.id}`));
    } catch (error) {
      if (error.status === undefined) throw error;
      rename(
        this.error,
        error.status === 404 ? "No message has this number: it may have been deleted." : error.message,
      );
    }
  }

  #show(message) {
    rename(this.error, "");
    if (this.#card) return this.#card.update(message);
    this.#card = new Card(this.#desk, message);
    this.list.append(this.#card.element);
    return this.#card.toggle(true);
  }

  take(kind, data) {
    const isOurs = (kind === "message" ? data.id : data.message) === this.id;
    if (isOurs && kind !== "board") this.#card?.take(kind, data);
  }

  settle() {}

  tick() {
    this.#card?.tick();
  }

  permit() {
    this.#card?.permit();
  }
}
