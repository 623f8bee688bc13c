// One board: how it is, what it says, how it has been; and words to it.

import { ask, boardPath, path } from "./api.js";
import { bars, stateBadge } from "./boards.js";
import { proofBadge, replyItem } from "./card.js";
import { Chart } from "./charts.js";
import { h, rename, said } from "./dom.js";
import { MessageList } from "./list.js";
import { Log } from "./log.js";
import { ago, clock, name, octets, signal, span, stateOf, threshold } from "./words.js";
import { Writing } from "./writing.js";

const HOURS = [
  [1, "1 hour"],
  [24, "24 hours"],
  [168, "7 days"],
];
const REDRAW_S = 60; // between two drawings of the charts of a board that goes on telling
const BY = { heartbeat: "a heartbeat", message: "a message", registration: "its registration", log: "its log" };
const seconds = (value) =>
  value < 1 ? `${Math.round(value * 1000)} ms` : `${value < 100 ? Number(value.toFixed(1)) : Math.round(value)} s`;

export class BoardView {
  #desk;
  #loads = 0;
  #hours = 24;
  #drawnAt = 0;

  constructor(desk, { aor }) {
    this.#desk = desk;
    this.aor = aor;
    const [user, rest] = name(aor);
    this.title = user;
    this.state = h("span", {});
    this.proof = h("span", {});
    this.threshold = h("p", { class: "threshold" });
    this.facts = h("dl", { class: "tiles" });
    this.charts = h("div", { class: "charts" });
    this.hours = h(
      "select",
      { "aria-label": "Time that charts cover", onchange: () => this.#choose() },
      HOURS.map(([hours, words]) => h("option", { value: hours, selected: hours === this.#hours }, words)),
    );
    this.error = h("p", { class: "error", role: "alert" });
    this.list = new MessageList(desk, { board: aor }, "No message of this board is stored.");
    this.writing = new Writing(desk, boardPath(aor, "/messages"), `Write to ${user}`, (reply) =>
      desk.taken("reply", reply),
    );
    this.log = new Log(desk, aor);
    this.login = h("p", { class: "hint" });
    this.sent = h("ul", { class: "replies" });
    this.element = h(
      "div",
      { class: "board-view" },
      h("a", { class: "back", href: "#/boards" }, "← Boards"),
      h(
        "div",
        { class: "board-head" },
        h("h1", {}, said(user), said(rest, "rest")),
        this.state,
        this.proof,
        this.threshold,
        this.error,
      ),
      h(
        "div",
        { class: "columns" },
        this.facts,
        h(
          "div",
          { class: "past" },
          this.log.element,
          h(
            "section",
            { "aria-label": "Charts" },
            h("div", { class: "section-head" }, h("h2", {}, "How it has been"), this.hours),
            this.charts,
          ),
        ),
        h(
          "div",
          { class: "talk" },
          h(
            "section",
            { class: "write", "aria-label": "Write to this board" },
            this.writing.element,
            this.login,
            this.sent,
          ),
          h("section", { "aria-label": "Messages" }, h("h2", {}, "Messages"), this.list.element),
        ),
      ),
    );
    this.permit();
  }

  get board() {
    return this.#desk.boards.get(this.aor);
  }

  async load() {
    this.settle();
    await Promise.all([this.list.load(), this.#loadBoard(), this.#loadCharts(), this.log.load()]);
  }

  async #loadBoard() {
    try {
      const { replies, ...board } = await ask("GET", boardPath(this.aor));
      for (const reply of replies) this.#desk.taken("reply", reply);
      if (!this.board) this.#desk.taken("board", board);
    } catch (error) {
      if (error.status === undefined) throw error;
      rename(
        this.error,
        error.status === 404
          ? "No row is kept for this name: nothing was heard from it, or too many names are known."
          : `Can't read this board: ${error.message}`,
      );
    }
  }

  #choose() {
    this.#hours = Number(this.hours.value);
    return this.#loadCharts();
  }

  async #loadCharts() {
    const mine = ++this.#loads;
    try {
      const series = await ask("GET", path(boardPath(this.aor, "/series"), { hours: this.#hours }));
      if (mine === this.#loads) this.#draw(series);
    } catch (error) {
      if (error.status === undefined) throw error;
      this.charts.replaceChildren(h("p", { class: "hint" }, `No charts: ${error.message}`));
    }
  }

  #draw(series) {
    this.#drawnAt = this.#desk.now();
    const chart = (title, how, points) => new Chart(title, how, points, series, this.#desk.now()).element;
    this.charts.replaceChildren(
      chart("Heap free", { kind: "line", show: octets }, series.free),
      ...(series.rssi.length || this.board?.rssi
        ? [chart("Signal", { kind: "line", show: (v) => `${Math.round(v)} dBm` }, series.rssi)]
        : []),
      chart("Delivery time", { kind: "dots", show: seconds, zero: true }, series.delivery),
      chart(
        `Messages in ${span(series.step)}`,
        { kind: "columns", show: (v) => String(Math.round(v * 10) / 10), zero: true },
        series.alerts,
      ),
    );
  }

  take(kind, data) {
    this.list.take(kind, data);
    if (kind === "board" && data.aor === this.aor) this.log.changed();
  }

  settle() {
    this.list.settle();
    const { board } = this;
    const now = this.#desk.now();
    this.sent.replaceChildren(...this.#desk.sentTo(this.aor).map((reply) => replyItem(reply, now)));
    if (!board) return;
    rename(this.error, "");
    this.writing.tell(board);
    this.shown = stateOf(board, now);
    this.state.replaceChildren(stateBadge(this.shown));
    this.proof.replaceChildren(proofBadge(board.proof));
    this.facts.replaceChildren(
      ...this.#facts(board, now).map(([key, ...value]) => h("div", {}, h("dt", {}, key), h("dd", {}, ...value))),
    );
    this.tick(now);
  }

  #facts(board, now) {
    const unknown = (value, show) => (value === null ? h("span", { class: "unknown" }, "unknown") : show(value));
    this.age = h("span", {}, ago(now - board.heard));
    return [
      ["Heard", this.age, h("small", {}, `by ${BY[board.heard_by] ?? board.heard_by}`)],
      ["Heap free", unknown(board.free, octets)],
      [
        "Signal",
        board.rssi === null ? unknown(null) : bars(board.rssi),
        board.rssi === null ? "" : `${board.rssi} dBm`,
        board.rssi === null ? "" : h("small", {}, signal(board.rssi)[0]),
      ],
      ["Clock", unknown(board.clock, clock)],
      ["Up for", unknown(board.uptime, span)],
      ["On the board", unknown(board.waiting, (n) => `${n} waiting`), h("small", {}, "messages without an outcome")],
      ["Here", `${board.messages.toLocaleString("en")} stored`, h("small", {}, `${board.open} open`)],
      [
        "From",
        h("span", { class: "from" }, said(board.source || "unknown")),
        h("small", {}, said(board.transport ?? "")),
      ],
    ];
  }

  tick(now) {
    this.list.tick();
    this.log.tick();
    if (!this.board) return;
    rename(this.threshold, threshold(this.board, now));
    if (this.age) rename(this.age, ago(now - this.board.heard));
    if (stateOf(this.board, now) !== this.shown) this.settle();
    const isBehind = this.#drawnAt && now - this.#drawnAt > REDRAW_S && this.board.heard > this.#drawnAt;
    if (isBehind && !this.charts.querySelector("details[open]")) this.#loadCharts();
  }

  permit() {
    const { session } = this.#desk;
    this.writing.element.hidden = !session.may_act;
    this.login.replaceChildren(...(session.may_act ? [] : this.#desk.whyNot("To write to this board")));
    this.list.permit();
  }

  reply() {
    if (this.#desk.session.may_act) this.writing.text.focus();
    else this.#desk.login();
  }
}
