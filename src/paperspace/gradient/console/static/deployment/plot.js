// A plot of some series over time, drawn with SVG.

import { element, replace, setText, svg } from "../dom.js";
import { timeTicks, valueTicks } from "./axis.js";

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {string} field of the points
 * @property {string} style the class of the line
 * @property {boolean} [limit] whether it is a limit: drawn only if the other values are not far from it
 */

/**
 * @typedef {object} Plot
 * @property {HTMLElement} element
 * @property {(points: import("./types.js").Point[], from: number, to: number, step: number) => void} show `step`: milliseconds between points
 * @property {(index: number | null) => void} mark marks a point; null: none
 * @property {() => string[]} figures the values of the marked or newest point, as text
 */

const HEIGHT = 150;
const LEFT = 56;
const RIGHT = 20;
const TOP = 8;
const BOTTOM = 20;
const NEAR = 3; // a limit is drawn up to this multiple of the largest value

/**
 * @param {string} title
 * @param {Series[]} series
 * @param {(value: number) => string} format
 * @param {(index: number | null, pointer?: {x: number, y: number, plot: Element}) => void} onPoint called with the point under the pointer
 * @param {{base?: number, steps?: boolean}} [options] `base` of round values; `steps`: the values are whole, and the lines have steps
 * @returns {Plot}
 */
export function createPlot(title, series, format, onPoint, { base = 10, steps = false } = {}) {
  const values = series.map(() => element("b"));
  const legend = element("p", { class: "legend" }, ...series.map(({ name, style }, index) =>
    element("span", { class: style }, element("i", { "aria-hidden": "true" }), `${name} `, values[index])));
  const drawing = svg("svg", { class: "plot", height: HEIGHT, role: "img", tabindex: 0 });
  const cursor = svg("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM });
  const figure = element("figure", {}, element("figcaption", {}, element("h2", {}, title), legend), drawing);

  /** @type {import("./types.js").Point[]} */
  let points = [];
  let range = { from: 0, to: 1, step: 1 };
  /** @type {number | null} */
  let marked = null;
  let width = 0;
  const figures = () => series.map(({ name }, index) => `${name} ${values[index].textContent}`);
  const inner = () => Math.max(1, width - LEFT - RIGHT);
  const x = (/** @type {number} */ time) => LEFT + ((time - range.from) / (range.to - range.from)) * inner();
  new ResizeObserver(([{ contentRect }]) => {
    width = contentRect.width;
    draw();
  }).observe(drawing);

  drawing.addEventListener("pointermove", ({ clientX: x, clientY: y }) => {
    const time = range.from + ((x - drawing.getBoundingClientRect().left - LEFT) / inner()) * (range.to - range.from);
    onPoint(nearest(points, time), { x, y, plot: figure });
  });
  drawing.addEventListener("pointerleave", () => onPoint(null));
  drawing.addEventListener("blur", () => onPoint(null));
  drawing.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !points.length) return;
    event.preventDefault();
    onPoint(Math.max(0, Math.min(points.length - 1, (marked ?? points.length) + step)));
  });

  return { element: figure, show, mark, figures };

  /** @type {Plot["show"]} */
  function show(shown, from, to, step) {
    points = shown;
    range = { from, to, step };
    draw();
  }

  /** @type {Plot["mark"]} */
  function mark(index) {
    marked = index;
    const point = points[index ?? points.length - 1];
    series.forEach(({ field }, order) => setText(values[order], point?.[field] == null ? "–" : format(point[field])));
    cursor.setAttribute("visibility", index === null || !point ? "hidden" : "visible");
    if (point) for (const end of ["x1", "x2"]) cursor.setAttribute(end, String(x(Date.parse(point.time))));
  }

  function draw() {
    if (!width) return;
    const [maximum, limit] = [false, true].map((ofLimit) => Math.max(0, ...series.filter((one) => Boolean(one.limit) === ofLimit)
      .flatMap(({ field }) => points.map((point) => point[field] ?? 0))));
    const largest = limit <= NEAR * maximum ? Math.max(limit, maximum) : maximum;
    const ticks = valueTicks(largest, { base, least: steps || base === 2 ? 1 : 0 }); // replicas and bytes are whole numbers
    const top = ticks[ticks.length - 1];
    const y = (/** @type {number} */ value) => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM);
    const times = timeTicks(range.from, range.to, Math.max(2, Math.floor(inner() / 80)));
    replace(drawing,
      ...ticks.flatMap((value) => [
        svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
        svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, format(value))]),
      ...times.map(({ time, label }) => svg("text", { x: x(time), y: HEIGHT - 4, "text-anchor": "middle" }, label)),
      ...series.filter((one) => !one.limit || limit <= largest).map(({ field, style }) => svg("path", { class: `line ${style}`, d: path(field, y) })), cursor);
    mark(marked !== null && marked < points.length ? marked : null);
    drawing.setAttribute("aria-label", `${title}: ${figures().join(", ")}. Maximum: ${format(maximum)}.`);
  }

  /**
   * The path of a line. It has a gap where a value is unknown, or where points are missing, because the server did not run.
   *
   * @param {string} field
   * @param {(value: number) => number} y
   */
  function path(field, y) {
    let path = "";
    let begun = false;
    let before = 0;
    for (const point of points) {
      const time = Date.parse(point.time);
      if (point[field] == null || time - before > 2 * range.step) begun = false;
      before = time;
      if (point[field] != null) {
        const [atX, atY] = [x(time).toFixed(1), y(point[field]).toFixed(1)];
        path += begun ? (steps ? `H${atX}V${atY}` : `L${atX} ${atY}`) : `M${atX} ${atY}`;
        if (!begun) path += "h0.1"; // a single point is visible
        begun = true;
      }
    }
    return path;
  }
}

/**
 * The index of the point that is nearest to a time; null if there is no point.
 *
 * @param {import("./types.js").Point[]} points
 * @param {number} time
 */
function nearest(points, time) {
  const distances = points.map((point) => Math.abs(Date.parse(point.time) - time));
  return points.length ? distances.indexOf(Math.min(...distances)) : null;
}
