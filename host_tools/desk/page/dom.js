// Makes elements. What a stranger wrote becomes a text node and nothing else, in an element that holds it together.

const SVG = "http://www.w3.org/2000/svg";

const ICONS = {
  // paths on a field of 16 by 16, drawn as lines
  alive: "M8 2a6 6 0 1 0 0 12A6 6 0 1 0 8 2z M5.2 8.2l2 2 3.6-4",
  late: "M8 2.2L14.4 13.5H1.6z M8 6.5v3 M8 11.4v.1",
  gone: "M2.5 2.5h11v11h-11z M5.5 5.5l5 5 M10.5 5.5l-5 5",
  signed: "M8 1.8l5.2 2v3.7c0 3.3-2.2 5.7-5.2 6.8-3-1.1-5.2-3.5-5.2-6.8V3.8z M5.6 8l1.8 1.8 3-3.6",
  shared: "M5.2 5.5a2.8 2.8 0 1 0 0 5 2.8 2.8 0 0 0 2.6-2H14v2 M11.5 8.5v1.7",
  login: "M8 2.5a2.6 2.6 0 1 0 0 5.2 2.6 2.6 0 1 0 0-5.2z M2.8 13.8c.5-3 2.5-4.3 5.2-4.3s4.7 1.3 5.2 4.3",
  none: "M4.6 5.4a3.4 3.4 0 1 1 4.9 3C8.5 9 8 9.5 8 10.6 M8 13.8v.1",
  lock: "M3.5 7.5h9v6h-9z M5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
  warning: "M8 2.2L14.4 13.5H1.6z M8 6.5v3 M8 11.4v.1",
  clock: "M8 2a6 6 0 1 0 0 12A6 6 0 1 0 8 2z M8 4.8V8l2.2 1.6",
  check: "M3 8.5l3.3 3.3L13 4.5",
  reply: "M6.5 3.5L2.5 7.5l4 4 M2.5 7.5h6c3 0 5 1.6 5 5",
  up: "M8 13V3.5 M4 7.5l4-4 4 4",
  bell: "M4 11.5V7a4 4 0 0 1 8 0v4.5l1 1H3z M6.8 14.2h2.4",
  sun: "M8 5a3 3 0 1 0 0 6 3 3 0 1 0 0-6z M8 1v1.5 M8 13.5V15 M1 8h1.5 M13.5 8H15 M3.3 3.3l.8.8 M11.9 11.9l.8.8",
  moon: "M13 9.8A5.7 5.7 0 0 1 6.2 3 5.7 5.7 0 1 0 13 9.8z",
  half: "M8 2a6 6 0 1 0 0 12A6 6 0 1 0 8 2z M8 2v12 M8 5h4.3 M8 8h5.5 M8 11h4.3",
};

function set(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else element.setAttribute(name, value === true ? "" : value);
}

/** Return an element. attributes: strings, true for one without a value, functions for "onclick" and the like. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** As h(), of SVG. */
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) set(element, name, value);
  element.append(...children);
  return element;
}

/** Return a drawing that says nothing by itself: words stand beside it. */
export function icon(name) {
  return s(
    "svg",
    { class: `icon icon-${name}`, viewBox: "0 0 16 16", "aria-hidden": "true" },
    s("path", { d: ICONS[name] }),
  );
}

/** Return a stranger's words on a line: they end where the element ends, whatever is in them. */
export function said(text, kind = "") {
  return h("bdi", { class: `said ${kind}` }, String(text));
}

/** Return a mark of ours: a drawing and words in a frame that no text can have. */
export function badge(kind, drawing, ...words) {
  return h("span", { class: `badge ${kind}` }, drawing ? icon(drawing) : null, h("span", {}, ...words));
}

/** Give an element other words, only if they are others: 1,000 of them are looked at each second. */
export function rename(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Return a field that has a label above it. */
export function field(label, input) {
  return h("label", { class: "field" }, h("span", {}, label), input);
}
