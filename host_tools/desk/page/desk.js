// The page: which view is shown, what the desk sends to it, keys, and whether the line to the desk is up.

import { ask, Stream } from "./api.js";
import { BoardView } from "./board.js";
import { BoardsView, spoken } from "./boards.js";
import { merged } from "./card.js";
import { showHelp, showLogin } from "./dialogs.js";
import { h, icon, rename } from "./dom.js";
import { MessagesView, MessageView } from "./messages.js";
import { moment, stateOf } from "./words.js";

const SETTLE_MS = 100; // events of this time are shown at once
const STALE_S = 10; // without a line until the page says since when nothing is new
const ASLEEP_S = 60; // a machine that has slept for so long doesn't know what its connections are worth
const THEMES = { auto: "half", light: "sun", dark: "moon" };
const at = (id) => document.getElementById(id);

class Desk {
  boards = new Map(); // address-of-record -> Board
  session = { user: null, may_act: false, may_read: true, login: [], csrf: null, guided: false, version: "" };
  view = null;
  #open = 0; // messages that nobody has acknowledged, of senders that are no board here, too
  #sent = new Map(); // address-of-record -> replies that answer no message
  #ahead = 0; // seconds that the clock of the desk is before ours
  #fresh = []; // messages to be announced
  #newest = 0; // id of the youngest message that we know
  #settling = null;
  #lostAt = Date.now() / 1000;
  #isLive = false;
  #ticked = Date.now();
  #stream = new Stream(this);

  async start() {
    showTheme(localStorage.getItem("theme") ?? "auto");
    at("theme").onclick = nextTheme;
    at("help").onclick = () => this.help();
    at("skip").onclick = (event) => {
      event.preventDefault();
      at("main").focus();
    };
    addEventListener("hashchange", () => this.#route());
    addEventListener("keydown", (event) => this.#key(event));
    setInterval(() => this.#tick(), 1000);
    await this.reopen();
  }

  /** Return Unix seconds by the clock of the desk. */
  now() {
    return Date.now() / 1000 + this.#ahead;
  }

  // Who we are

  async askSession() {
    try {
      this.#permit(await ask("GET", "/api/session"));
    } catch (error) {
      if (error.status === undefined) throw error;
      return false;
    }
    return true;
  }

  #permit(session) {
    const couldRead = this.session.may_read;
    this.session = session;
    at("who").replaceChildren(...this.#whoWeAre());
    this.view?.permit();
    if (!session.may_read) this.#closed();
    else if (!couldRead) this.reopen();
  }

  #whoWeAre() {
    const { user, login, may_act } = this.session;
    const button = (words, run) => h("button", { type: "button", onclick: run }, words);
    if (user || may_act)
      return [
        h("span", { class: "user" }, user ?? "may act"),
        login.length ? button("Log out", () => this.logout()) : "",
      ];
    return login.length
      ? [h("span", { class: "user" }, "read only"), button("Log in", () => this.login())]
      : [h("span", { class: "user" }, "read only")];
  }

  /** Return why somebody can't do a thing here, and what helps. to: what it is that they can't. */
  whyNot(to) {
    return this.session.login.length
      ? [
          `${to}, `,
          h("button", { type: "button", class: "plain", onclick: () => this.login() }, "log in"),
          ": who isn't logged in may look, not act.",
        ]
      : [`${to}, have whoever runs this desk give it users or a token: without any it is read only.`];
  }

  login() {
    if (this.session.login.length) showLogin(this.session.login, (session) => this.#permit(session));
  }

  async logout() {
    await ask("DELETE", "/api/session", null, this.session.csrf).catch(() => null);
    await this.askSession();
  }

  #closed() {
    this.#stream.close();
    this.view = null;
    at("main").replaceChildren(
      h(
        "div",
        { class: "wall" },
        h("h1", {}, "This desk is for those it knows"),
        h("p", { class: "empty" }, this.whyNot("To look at it")),
      ),
    );
    this.#showConnection();
  }

  // What the desk sends

  /** Connect anew. */
  async reopen() {
    if (!(await this.askSession())) {
      this.disconnected();
      setTimeout(() => this.reopen(), 2000);
    } else if (this.session.may_read) this.#stream.open();
  }

  /** Read everything anew. Raises Refused. */
  async load() {
    // A desk that was away has forgotten who had logged in.
    const [told] = await Promise.all([ask("GET", "/api/boards"), this.askSession()]);
    this.#ahead = told.now - Date.now() / 1000;
    this.boards = new Map(told.boards.map((board) => [board.aor, board]));
    this.#open = told.counts.open;
    this.#newest = Math.max(this.#newest, ...told.boards.map((board) => board.last?.id ?? 0));
    if (this.view) await this.view.load();
    else await this.#route();
    this.#count();
  }

  /** Take what the desk, or an answer of it, has told. */
  taken(kind, data) {
    if (kind === "board") this.boards.set(data.aor, data);
    if (kind === "forgotten") for (const aor of data.boards) this.boards.delete(aor);
    if (kind === "counts") this.#open = data.open;
    if (kind === "reply" && data.message === null) this.#sent.set(data.to, merged(this.#sent.get(data.to) ?? [], data));
    if (kind === "message" && data.id > this.#newest) {
      this.#newest = data.id;
      this.#fresh.push(data);
    }
    this.view?.take(kind, data);
    this.#settling ??= setTimeout(() => this.#settle(), SETTLE_MS);
  }

  #settle() {
    this.#settling = null;
    this.view?.settle();
    this.#count();
    const fresh = this.#fresh.splice(0);
    if (fresh.length === 1)
      this.announce(
        `New message of ${spoken(fresh[0].from)}: ${fresh[0].subject ?? fresh[0].body ?? ""}`.slice(0, 200),
      );
    else if (fresh.length) this.announce(`${fresh.length} new messages`);
  }

  sentTo(aor) {
    return this.#sent.get(aor) ?? [];
  }

  get states() {
    const counts = { alive: 0, late: 0, gone: 0 };
    for (const board of this.boards.values()) counts[stateOf(board, this.now())] += 1;
    return counts;
  }

  #count() {
    const open = this.#open;
    at("open-count").hidden = !open;
    rename(at("open-count").firstElementChild, open.toLocaleString("en"));
    document.title = `${open ? `(${open}) ` : ""}${this.view ? `${this.view.title} - ` : ""}sipmote desk`;
  }

  /** Have a screen reader say it, when there is a pause. */
  announce(words) {
    rename(at("announcer"), words);
  }

  // The line

  connected() {
    this.#isLive = true;
    this.#showConnection();
  }

  disconnected() {
    if (this.#isLive) this.#lostAt = Date.now() / 1000;
    this.#isLive = false;
    this.#showConnection();
  }

  #showConnection() {
    const lost = Date.now() / 1000 - this.#lostAt;
    const state = this.#isLive ? "live" : lost < STALE_S ? "reconnecting" : "stale";
    const since = moment(this.#lostAt + this.#ahead, this.now());
    at("connection").dataset.state = this.session.may_read ? state : "closed";
    rename(
      at("connection").lastElementChild,
      { live: "live", reconnecting: "reconnecting", stale: `stale since ${since}` }[state],
    );
    at("notice").hidden = state !== "stale" || !this.session.may_read;
    rename(
      at("notice"),
      state === "stale"
        ? `Nothing here is newer than ${since}: the desk doesn't answer. The page goes on by itself when it does.`
        : "",
    );
  }

  #tick() {
    const slept = (Date.now() - this.#ticked) / 1000 - 1;
    this.#ticked = Date.now();
    if (slept > ASLEEP_S && this.session.may_read) this.reopen();
    if (!this.#isLive) this.#showConnection();
    this.view?.tick(this.now());
  }

  // Views and keys

  async #route() {
    const [where, query = ""] = location.hash.slice(1).split("?");
    const [, room = "boards", what = ""] = where.split("/");
    const asked = Object.fromEntries(new URLSearchParams(query));
    const before = this.view;
    if (!this.session.may_read) return;
    if (room === "boards")
      this.view = what ? new BoardView(this, { aor: decodeURIComponent(what) }) : new BoardsView(this, asked);
    else this.view = what ? new MessageView(this, { id: what }) : new MessagesView(this, asked);
    for (const one of ["boards", "messages"])
      at(`nav-${one}`).setAttribute("aria-current", one === room ? "page" : "false");
    at("main").replaceChildren(this.view.element);
    scrollTo(0, 0);
    if (before) at("main").focus();
    this.#count();
    await this.view.load();
    this.#cameFrom(before);
  }

  /** Put the focus on the board that somebody comes back from. */
  #cameFrom(before) {
    if (before instanceof BoardView && this.view instanceof BoardsView)
      [...document.querySelectorAll("[data-item]")].find((item) => item.dataset.item === before.aor)?.focus();
  }

  help() {
    const keys = {
      on: localStorage.getItem("keys") !== "off",
      set: (on) => localStorage.setItem("keys", on ? "on" : "off"),
    };
    showHelp(keys, this.session.version);
  }

  #key(event) {
    if (event.key === "Escape") return this.#back(event);
    const isTyped = event.target.closest("input, textarea, select, dialog");
    if (isTyped || event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem("keys") === "off") return;
    const card = document.activeElement.closest(".card")?.card;
    const run = {
      "/": () => this.#search(),
      j: () => step(1),
      k: () => step(-1),
      Enter: event.target === card?.element ? () => card.toggle() : null,
      a: () => (card ? this.#acknowledge(card) : this.announce("Choose a message with j and k first")),
      r: () => (card ? card.reply(true) : this.view?.reply?.()),
      b: () => (location.hash = "#/boards"),
      m: () => (location.hash = "#/messages"),
      "?": () => this.help(),
    }[event.key];
    if (!run) return;
    event.preventDefault();
    run();
  }

  #acknowledge(card) {
    if (!this.session.may_act) this.login();
    else if (!card.message.acknowledged) card.acknowledge.press();
  }

  #search() {
    if (at("search")) at("search").focus();
    else location.hash = "#/messages";
  }

  #back(event) {
    if (event.target.closest("dialog")) return;
    const card = event.target.closest(".card")?.card;
    if (event.target.closest(".writing") && card) card.reply(false);
    else if (event.target.closest("input, textarea, select")) event.target.blur();
    else if (this.view instanceof BoardView || this.view instanceof MessageView)
      location.hash = this.view instanceof BoardView ? "#/boards" : "#/messages";
  }
}

/** Move the focus to the next of the items that it is among, of the first list that has any otherwise. */
function step(by) {
  const list =
    document.activeElement.closest("[data-items]") ?? document.querySelector("[data-items]:has([data-item])");
  const items = [...(list?.querySelectorAll("[data-item]") ?? [])];
  const here = items.findIndex((item) => item.contains(document.activeElement));
  const next = items[here < 0 ? 0 : Math.min(Math.max(here + by, 0), items.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function showTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  at("theme").replaceChildren(icon(THEMES[theme] ?? "half"));
  at("theme").setAttribute("aria-label", `Colours: ${theme}`);
  at("theme").title = `Colours: ${theme}`;
}

function nextTheme() {
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(localStorage.getItem("theme") ?? "auto") + 1) % names.length];
  localStorage.setItem("theme", next);
  showTheme(next);
}

new Desk().start();
