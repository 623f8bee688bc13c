// Charts of what a board has told: lines, dots or columns, with axes, and their figures in words.

import { h, rename, s } from "./dom.js";
import { moment } from "./words.js";

const HEIGHT = 150;
const LEFT = 52; // for the numbers of the vertical axis
const BELOW = 22;

/** Return steps of 1, 2 or 5 that divide what lies between low and high into about four. */
export function ticks(low, high) {
  const rough = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => power * factor >= rough);
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.floor((high - first) / step + 1e-9) + 1 }, (_, n) => first + n * step);
}

export class Chart {
  #points;
  #since;
  #until;
  #now;
  #step;

  /**
   * kind: "line", "dots" or "columns"; show: puts a value into words with its unit; short: that for the axis.
   * series: since and until in Unix seconds, step in seconds; points: [Unix seconds, value] each.
   */
  constructor(title, { kind, show, short = show, zero = false }, points, series, now) {
    Object.assign(this, { kind, show, short, zero });
    this.#points = points;
    this.#since = series.since;
    this.#until = series.until;
    this.#step = series.step;
    this.#now = now;
    this.readout = h("span", { class: "readout" });
    this.plot = h("div", { class: "plot" });
    this.element = h(
      "figure",
      { class: "chart" },
      h("figcaption", {}, h("h3", {}, title), this.readout),
      points.length ? this.plot : h("p", { class: "empty" }, "Nothing told yet in this time."),
      points.length ? this.#table() : "",
    );
    rename(this.readout, this.#latest());
    this.title = title;
    if (points.length) new ResizeObserver(() => this.#draw()).observe(this.plot);
  }

  #latest() {
    const last = this.#points.at(-1);
    return last ? `${this.show(last[1])} at ${moment(last[0], this.#now)}` : "";
  }

  #summary() {
    const values = this.#points.map(([, value]) => value).sort((a, b) => a - b);
    const [low, middle, high] = [values[0], values[values.length >> 1], values.at(-1)].map(this.show);
    return `${this.title}: lowest ${low}, median ${middle}, highest ${high}, at last ${this.#latest()}`;
  }

  #table() {
    const table = h("table", {});
    const details = h(
      "details",
      { ontoggle: () => table.rows.length || this.#fill(table) },
      h("summary", {}, "Figures"),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Figures" }, table),
    );
    return details;
  }

  #fill(table) {
    const rows = [...this.#points]
      .reverse()
      .map(([at, value]) => h("tr", {}, h("td", {}, moment(at, this.#now)), h("td", {}, this.show(value))));
    table.append(
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), h("th", { scope: "col" }, "Value"))),
      h("tbody", {}, rows),
    );
  }

  #range() {
    const values = this.#points.map(([, value]) => value);
    let low = this.zero ? 0 : Math.min(...values);
    let high = Math.max(...values);
    const room = (high - low || Math.abs(high) || 1) * 0.12;
    if (!this.zero) low -= room;
    return [low, high + room];
  }

  #draw() {
    const width = Math.max(200, Math.floor(this.plot.clientWidth));
    if (width === this.width) return;
    this.width = width;
    const [low, high] = this.#range();
    this.x = (at) => LEFT + ((at - this.#since) / (this.#until - this.#since)) * (width - LEFT - 8);
    this.y = (value) => 8 + (1 - (value - low) / (high - low)) * (HEIGHT - BELOW - 8);
    this.marker = s("line", { class: "marker", y1: 8, y2: HEIGHT - BELOW, visibility: "hidden" });
    const svg = s(
      "svg",
      { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": this.#summary() },
      ...this.#levels(low, high, width),
      ...this.#times(width),
      ...this.#shapes(low),
      this.marker,
    );
    svg.addEventListener("pointermove", (event) => this.#point(event.offsetX));
    svg.addEventListener("pointerleave", () => this.#point(null));
    this.plot.replaceChildren(svg);
  }

  #levels(low, high, width) {
    return ticks(low, high).flatMap((value) => {
      const y = this.y(value);
      return [
        s("line", { class: "grid", x1: LEFT, x2: width - 8, y1: y, y2: y }),
        s("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, this.short(value)),
      ];
    });
  }

  #times(width) {
    const span = this.#until - this.#since;
    const steps = [300, 900, 3600, 3 * 3600, 6 * 3600, 86400];
    const step = steps.find((one) => (span / one) * 56 <= width - LEFT) ?? 86400;
    const zone = new Date(this.#until * 1000).getTimezoneOffset() * 60;
    const first = Math.ceil((this.#since - zone) / step) * step + zone;
    const found = [];
    for (let at = first; at <= this.#until; at += step) {
      const x = this.x(at);
      const words = step < 86400 ? moment(at, at).slice(0, 5) : moment(at, 0).replace(/ \d{4},.*|,.*/, "");
      if (x > width - 24) break;
      found.push(
        s("line", { class: "tick", x1: x, x2: x, y1: HEIGHT - BELOW, y2: HEIGHT - BELOW + 4 }),
        s("text", { x, y: HEIGHT - 5, "text-anchor": "middle" }, words),
      );
    }
    return found;
  }

  #shapes(low) {
    if (this.kind === "dots") return this.#points.map((point) => this.#dot(point));
    if (this.kind === "columns")
      return this.#points.filter(([, value]) => value).map((point) => this.#column(point, low));
    const most = this.#gap();
    const isFar = (one, other) => !other || Math.abs(other[0] - one[0]) > most;
    const alone = this.#points.filter(
      (point, n) => isFar(point, this.#points[n - 1]) && isFar(point, this.#points[n + 1]),
    );
    return [s("path", { class: "line", d: this.#line(most) }), ...alone.map((point) => this.#dot(point))];
  }

  #dot([at, value]) {
    return s("circle", { class: "dot", cx: this.x(at), cy: this.y(value), r: 2.2 });
  }

  /** Return for how many seconds nothing may be told before the line is broken. */
  #gap() {
    const gaps = this.#points
      .slice(1)
      .map(([at], n) => at - this.#points[n][0])
      .sort((a, b) => a - b);
    return 4 * (gaps[gaps.length >> 1] ?? 0);
  }

  #column([at, value], low) {
    const width = Math.max(2, this.x(at + this.#step) - this.x(at) - 1);
    return s("rect", {
      class: "column",
      x: this.x(at),
      y: this.y(value),
      width,
      height: Math.max(0, this.y(low) - this.y(value)),
    });
  }

  /** Return the path of the line, broken where nothing was told for long. */
  #line(most) {
    return this.#points
      .map(([at, value], n) => {
        const isFirst = n === 0 || at - this.#points[n - 1][0] > most;
        return `${isFirst ? "M" : "L"}${this.x(at).toFixed(1)} ${this.y(value).toFixed(1)}`;
      })
      .join("");
  }

  #point(offset) {
    const near = (best, point) =>
      Math.abs(this.x(point[0]) - offset) < Math.abs(this.x(best[0]) - offset) ? point : best;
    const [at, value] = offset === null ? [0, 0] : this.#points.reduce(near);
    rename(this.readout, offset === null ? this.#latest() : `${this.show(value)} at ${moment(at, this.#now)}`);
    this.marker.setAttribute("visibility", offset === null ? "hidden" : "visible");
    for (const end of ["x1", "x2"]) this.marker.setAttribute(end, offset === null ? 0 : this.x(at));
  }
}
