// Dialogs: to log in, and what keys and marks mean.

import { ask } from "./api.js";
import { proofBadge } from "./card.js";
import { stateBadge } from "./boards.js";
import { field, h, rename } from "./dom.js";

const KEYS = [
  ["/", "search"],
  ["j k", "next, previous"],
  ["Enter", "open"],
  ["a", "acknowledge"],
  ["r", "reply, write"],
  ["b", "boards"],
  ["m", "messages"],
  ["?", "this help"],
  ["Esc", "back"],
];
const STATES = [
  ["alive", "it was heard within the time in which it has to say something"],
  ["late", "that time has passed: twice its period and 30 s, or what this desk was started with"],
  ["gone", "nothing for ten periods"],
];
const PROOFS = [
  [
    { level: "signed", by: "its certificate" },
    "by a key that only its owner has: nobody else can have written the message",
  ],
  [{ level: "shared", by: null }, "somebody who has the key that both share: the board, or this desk"],
  [{ level: "login", by: "NAME" }, "whoever sent it knew this password; From is what they wrote"],
  [{ level: "none", by: null }, "nothing proves it, however true it looks"],
];

/** Show a dialog until it is closed; it is gone then, and the focus is where it was. */
function show(title, ...children) {
  const close = h(
    "button",
    { type: "button", class: "plain", "aria-label": "Close", onclick: () => dialog.close() },
    "✕",
  );
  const dialog = h(
    "dialog",
    { "aria-labelledby": "dialog-title", onclose: () => dialog.remove() },
    h("div", { class: "dialog-head" }, h("h2", { id: "dialog-title" }, title), close),
    ...children,
  );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** Show what keys and marks mean. keys: {on, set(on)}: are single keys listened to? */
export function showHelp(keys, version) {
  const list = (pairs) =>
    h("dl", { class: "legend" }, pairs.map(([what, words]) => [h("dt", {}, what), h("dd", {}, words)]).flat());
  const toggle = h("input", { type: "checkbox", checked: keys.on, onchange: () => keys.set(toggle.checked) });
  show(
    "Help",
    h("h3", {}, "Keys"),
    list(
      KEYS.map(([names, words]) => [
        h(
          "span",
          {},
          names.split(" ").map((key) => h("kbd", {}, key)),
        ),
        words,
      ]),
    ),
    h("label", { class: "inline" }, toggle, "listen to single keys"),
    h("h3", {}, "Boards"),
    list(STATES.map(([state, words]) => [stateBadge(state), words])),
    h("h3", {}, "Who wrote it"),
    list(PROOFS.map(([worth, words]) => [proofBadge(worth), words])),
    h("p", { class: "hint" }, `sipmote ${version}`),
  );
}

/** Ask for a name and a password, or a token; ways: what the desk takes. then: called with the session. */
export function showLogin(ways, then) {
  const error = h("p", { class: "error", role: "alert" });
  const submit = h("button", { type: "submit", class: "primary" }, "Log in");
  const inputs = {
    user: h("input", { name: "user", autocomplete: "username", spellcheck: "false", autocapitalize: "off" }),
    password: h("input", { name: "password", type: "password", autocomplete: "current-password" }),
    token: h("input", { name: "token", type: "password", autocomplete: "off" }),
  };
  const groups = {
    password: h("div", {}, field("Name", inputs.user), field("Password", inputs.password)),
    token: h("div", {}, field("Token", inputs.token)),
  };
  let way = ways[0];
  const choose = (chosen) => {
    way = chosen;
    for (const one of Object.keys(groups)) groups[one].hidden = one !== way;
  };
  const choices =
    ways.length < 2
      ? ""
      : h(
          "fieldset",
          { class: "ways" },
          h("legend", {}, "With"),
          ways.map((one) =>
            h(
              "label",
              { class: "inline" },
              h("input", { type: "radio", name: "way", checked: one === way, onchange: () => choose(one) }),
              one === "token" ? "a token" : "name and password",
            ),
          ),
        );
  const form = h(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        send();
      },
    },
    choices,
    groups.password,
    groups.token,
    h("div", { class: "row" }, submit),
    error,
  );
  const dialog = show("Log in", form);
  choose(way);
  groups[way].querySelector("input").focus();

  async function send() {
    if (submit.getAttribute("aria-disabled") === "true") return;
    submit.setAttribute("aria-disabled", "true");
    rename(error, "");
    const given =
      way === "token" ? { token: inputs.token.value } : { user: inputs.user.value, password: inputs.password.value };
    try {
      then(await ask("POST", "/api/session", given));
      dialog.close();
    } catch (refused) {
      if (refused.status === undefined) throw refused;
      rename(
        error,
        refused.retry_s ? `${refused.message}: try again in ${Math.ceil(refused.retry_s)} s` : refused.message,
      );
    } finally {
      submit.removeAttribute("aria-disabled");
    }
  }
}
