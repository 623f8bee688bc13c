// One message: what it says, what it is worth, and what has been done about it.

import { ask, boardPath, newKey } from "./api.js";
import { badge, h, icon, rename, said } from "./dom.js";
import { ago, iso, marks, moment, name, octets, outcome, proof } from "./words.js";
import { Action, Writing } from "./writing.js";

const LONG = 900; // characters of a text, or 12 lines, of which the beginning is shown
const LEVELS = ["signed", "shared", "login", "none"];

/** Return the name of a board as a link, the part that differs in front. */
export function boardLink(aor, kind = "") {
  const [user, rest] = name(aor);
  return h(
    "a",
    { class: `board-name ${kind}`, href: `#${boardPath(aor).slice(4)}` },
    said(user, "user"),
    said(rest, "rest"),
  );
}

/** Return what vouches for the name of who sent something. */
export function proofBadge(worth, words = proof(worth)) {
  const level = LEVELS.includes(worth.level) ? worth.level : "none";
  return badge(`proof ${level}`, level, words);
}

/** Return what became of a reply. */
export function replyItem(reply, now) {
  const [words, kind] = outcome(reply, now);
  return h(
    "li",
    { class: `reply ${kind}`, "data-reply": reply.id },
    h(
      "div",
      { class: "reply-head" },
      icon("reply"),
      h("b", {}, said(reply.by ?? "the desk")),
      ` at ${moment(reply.at, now)}`,
    ),
    h("p", { class: "body" }, reply.text),
    badge(kind, { good: "check", bad: "warning", waits: "clock" }[kind], words),
    reply.answered ? h("a", { href: `#/messages/${reply.answered}` }, "the answer to it") : "",
  );
}

export class Card {
  #desk;
  #head = h("div", { class: "card-head" });
  #content = h("div", {});
  #done = h("div", { class: "done" });
  #replies = h("ul", { class: "replies" });
  #facts = null;
  #writing = null;
  #isLong = true;
  #key = newKey(); // the board is told once

  constructor(desk, message) {
    this.#desk = desk;
    this.acknowledge = new Action(desk, "primary", "check", "Acknowledge", () => this.#acknowledge(false));
    this.tell = new Action(desk, "", "up", "and tell the board", () => this.#acknowledge(true));
    this.answer = h(
      "button",
      { type: "button", onclick: () => this.reply(), "aria-expanded": "false" },
      icon("reply"),
      "Reply",
    );
    this.more = h(
      "button",
      { type: "button", class: "plain more", onclick: () => this.toggle(), "aria-expanded": "false" },
      "Details",
    );
    this.login = h("button", { type: "button", class: "plain", onclick: () => desk.login() }, "Log in to answer");
    this.actions = h(
      "div",
      { class: "actions" },
      this.acknowledge.button,
      this.tell.button,
      this.answer,
      this.login,
      this.acknowledge.error,
      this.tell.error,
      this.more,
    );
    this.element = h(
      "li",
      { class: "card", tabindex: -1, "data-item": message.id },
      this.#head,
      this.#content,
      h("div", { class: "card-foot" }, this.#done, this.actions),
      this.#replies,
    );
    this.element.card = this;
    this.update(message);
  }

  /** Is somebody writing here? */
  get isInUse() {
    return this.#writing !== null;
  }

  update(message) {
    this.message = message;
    this.#showHead();
    this.#showContent();
    this.#showDone();
    this.#replies.replaceChildren(...message.replies.map((reply) => replyItem(reply, this.#desk.now())));
    this.permit();
  }

  /** Take an event that is about this message. */
  take(kind, data) {
    if (kind === "message") this.update(data);
    if (kind === "acknowledgement")
      this.update({ ...this.message, open: false, acknowledged: { by: data.by, at: data.at } });
    if (kind === "reply" && data.kind === "escalation")
      this.update({ ...this.message, escalated: passedOn(this.message.escalated, data) });
    else if (kind === "reply") this.update({ ...this.message, replies: merged(this.message.replies, data) });
  }

  /** Show the buttons that whoever looks may press. */
  permit() {
    const mayAct = this.#desk.session.may_act;
    const hadFocus = this.actions.contains(document.activeElement);
    this.acknowledge.button.hidden = this.tell.button.hidden = !mayAct || Boolean(this.message.acknowledged);
    this.answer.hidden = !mayAct;
    this.login.hidden = mayAct || !this.#desk.session.login.length;
    if (hadFocus && document.activeElement?.offsetParent === null) this.element.focus();
  }

  #showHead() {
    const { message } = this;
    const now = this.#desk.now();
    this.marked = marks(message, now);
    this.age = h("span", { class: "age" });
    const priority = message.priority && message.priority.toLowerCase() !== "normal" ? message.priority : null;
    const isUrgent = /^(emergency|urgent)$/i.test(priority ?? "");
    this.element.classList.toggle("open", message.open);
    this.element.classList.toggle("urgent", isUrgent);
    this.element.classList.toggle(
      "over",
      this.marked.some((mark) => mark.startsWith("expired")),
    );
    this.#head.replaceChildren(
      h(
        "div",
        { class: "who-when" },
        h("h3", {}, boardLink(message.from)),
        message.display_name
          ? h("span", { class: "says" }, "calls itself ", h("q", {}, said(message.display_name)))
          : "",
        h(
          "span",
          { class: "when" },
          h("time", { datetime: iso(message.received_at) }, moment(message.received_at, now)),
          " · ",
          this.age,
        ),
      ),
      h(
        "div",
        { class: "badges" },
        message.open ? badge("open", "bell", "open") : "",
        message.answers ? badge("", "reply", "an answer to what was written from here") : "",
        proofBadge(message.proof),
        message.encrypted ? badge("encrypted", "lock", "encrypted") : "",
        priority ? badge(isUrgent ? "bad" : "", "up", "priority ", said(priority)) : "",
        this.marked.map((mark) => badge("bad", "warning", said(mark))),
      ),
    );
    this.tick();
  }

  #showContent() {
    const { message } = this;
    const text = message.body ?? null;
    const isLong = text !== null && (text.length > LONG || text.split("\n", 13).length > 12);
    this.#content.replaceChildren(
      ...[
        message.subject ? h("p", { class: "subject" }, message.subject) : null,
        text === null
          ? h(
              "p",
              { class: "hint" },
              `${octets(size(message))} of `,
              said(message.content_type),
              ", no text to show here",
            )
          : h("p", { class: `body ${isLong && this.#isLong ? "cut" : ""}` }, text),
        isLong
          ? h(
              "button",
              { type: "button", class: "plain", onclick: () => this.#unfold() },
              this.#isLong ? "Show all of it" : "Show less",
            )
          : null,
      ].filter(Boolean),
    );
  }

  #unfold() {
    this.#isLong = !this.#isLong;
    this.#showContent();
    this.#content.querySelector("button").focus();
  }

  #showDone() {
    const now = this.#desk.now();
    const { acknowledged, escalated } = this.message;
    this.#done.replaceChildren(
      ...escalated.map((one) =>
        h("p", {}, icon("up"), "passed on to ", said(one.to), ` at ${moment(one.at, now)}: `, said(one.state)),
      ),
      ...(acknowledged
        ? [
            h(
              "p",
              { class: "acknowledged" },
              icon("check"),
              "acknowledged by ",
              h("b", {}, said(acknowledged.by)),
              ` at ${moment(acknowledged.at, now)}`,
            ),
          ]
        : []),
    );
  }

  /** A moment has passed: the message is older, and may have expired. */
  tick() {
    const now = this.#desk.now();
    rename(this.age, ago(now - this.message.received_at));
    this.#writing?.tell(this.#sender());
    if (marks(this.message, now).length !== this.marked.length) this.#showHead();
  }

  /** Show or hide what there is to know beside the words. */
  toggle(show = !this.#facts) {
    this.#facts?.remove();
    this.#facts = show ? facts(this.message, this.#desk.now()) : null;
    if (show) this.#content.after(this.#facts);
    this.more.setAttribute("aria-expanded", show);
  }

  /** Open the form for a reply, or close it; what was typed is kept. */
  reply(show = !this.#writing) {
    if (!this.#desk.session.may_act) return this.#desk.login();
    this.answer.setAttribute("aria-expanded", show);
    if (!show) {
      this.#writing?.element.remove();
      this.#writing = null;
      return this.element.focus();
    }
    this.#writing ??= this.#form();
    this.#writing.tell(this.#sender());
    this.actions.parentElement.after(this.#writing.element);
    return this.#writing.text.focus();
  }

  /** Return the board that has sent it, or what the message alone says of that. */
  #sender() {
    const { from, source, transport, proof } = this.message;
    return this.#desk.boards.get(from) ?? { aor: from, source, transport, proof, heard_by: "message" };
  }

  #form() {
    const path = `/api/messages/${this.message.id}/replies`;
    return new Writing(this.#desk, path, `Reply to ${name(this.message.from).join("")}`, (reply) => {
      this.#desk.taken("reply", reply);
      this.reply(false);
    });
  }

  async #acknowledge(tell_board) {
    const path = `/api/messages/${this.message.id}/acknowledgement`;
    const { csrf } = this.#desk.session;
    this.#desk.taken("message", await ask("POST", path, { tell_board }, csrf, this.#key));
  }
}

function size(message) {
  const packed = message.body_base64 ?? "";
  return Math.floor((packed.replace(/=+$/, "").length * 3) / 4);
}

function facts(message, now) {
  const signature = message.signature;
  const pairs = [
    ["To", message.to],
    ["Came by", `${message.transport} from ${message.source}`],
    ["Login", message.user],
    ["Sent", message.date && `${moment(Date.parse(message.date) / 1000, now)} by the clock of its sender`],
    ["Valid until", message.valid_until && moment(message.valid_until, now)],
    ["Signature", signature && [signature.state, signature.signer, signature.reason].filter(Boolean).join(", ")],
    ["Content", message.content_type],
    ["Call-ID", message.call_id],
  ].filter(([, value]) => value);
  return h(
    "dl",
    { class: "facts" },
    pairs.map(([key, value]) => [h("dt", {}, key), h("dd", {}, said(value))]).flat(),
    h("dt", {}, "Number"),
    h("dd", {}, h("a", { href: `#/messages/${message.id}` }, message.id.toLocaleString("en"))),
  );
}

/** Return to whom a message was passed on, with what has become of that to one of them. */
function passedOn(escalated, { to, at, state }) {
  return [...escalated.filter((other) => other.to !== to || other.at !== at), { to, at, state }];
}

/** Return replies with one in its newest state: what has ended does not begin again. */
export function merged(replies, reply) {
  const others = replies.filter((other) => other.id !== reply.id);
  const before = replies.find((other) => other.id === reply.id);
  return [...others, before?.ended_at && !reply.ended_at ? before : reply].sort((a, b) => a.id - b.id);
}
