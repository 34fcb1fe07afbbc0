// The tab of the metrics: plots of requests, errors, durations, CPU, memory and replicas over the same time.

import { attempt } from "../api.js";
import { element, setText } from "../dom.js";
import { every } from "../frames.js";
import { now } from "../now.js";
import { createPlot } from "./plot.js";
import { hideTooltip, showTooltip } from "./tooltip.js";
import { clock, duration, size } from "./words.js";

/** The times that can be chosen: their name, and their length in minutes. @type {Record<string, [string, number]>} */
const RANGES = { "15m": ["15 minutes", 15], "1h": ["hour", 60], "6h": ["6 hours", 360], "24h": ["day", 1440] };
const INTERVAL = 10_000; // milliseconds: the server takes figures as often
const MAX_POINTS = 360; // that the server returns

const decimal = (/** @type {number} */ value) => (value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(2))));
const first = (/** @type {string} */ name, /** @type {string} */ field) => ({ name, field, style: "series-1" });
const second = (/** @type {string} */ name, /** @type {string} */ field, limit = false) => ({ name, field, limit, style: "series-2" });

/** @type {import("./types.js").Tab} */
export function mountMetrics(parent, page, signal) {
  const range = element("select", { "aria-label": "Time", onchange: () => (page.remember({ since: range.value }), void load()) },
    ...Object.entries(RANGES).map(([value, [name]]) => element("option", { value, selected: value === since() }, `Last ${name}`)));
  const note = element("p", { class: "muted", role: "status" });
  const reading = element("span", { class: "hidden-text", role: "status" });
  /** @type {import("./types.js").Point[]} */
  let points = [];
  let waiting = ""; // the time whose figures were asked for: one request at a time, however long it takes
  const plots = [
    createPlot("Requests per second", [first("requests", "requestsPerSecond")], decimal, onPoint),
    createPlot("Errors per second", [{ ...first("status 500 or higher", "errorsPerSecond"), style: "series-error" }], decimal, onPoint),
    createPlot("Duration of requests", [first("p50", "requestDurationP50"), second("p95", "requestDurationP95")], duration, onPoint),
    createPlot("CPUs", [first("used", "cpu"), second("limit", "cpuLimit", true)], decimal, onPoint),
    createPlot("Memory", [first("used", "memory"), second("limit", "memoryLimit", true)], size, onPoint, { base: 2 }),
    createPlot("Replicas", [first("ready", "readyReplicas"), second("desired", "replicas")], decimal, onPoint, { steps: true }),
  ];
  const shown = element("div", { class: "plots", hidden: true }, ...plots.map((plot) => plot.element));
  parent.append(element("div", { class: "bar" }, range, note), shown, reading);
  every(INTERVAL, () => document.hidden || void load(), signal);
  signal.addEventListener("abort", hideTooltip);
  void load();
  return () => {};

  function since() {
    const value = page.parameter("since");
    return value in RANGES ? value : "1h";
  }

  async function load() {
    const asked = since();
    if (waiting === asked) return;
    waiting = asked;
    const found = await attempt(page.call("metrics", { since: asked }, signal), (message) => setText(note, message), signal);
    if (waiting !== asked) return; // another time was chosen
    waiting = "";
    if (!found) return;
    points = found;
    shown.hidden = !points.length;
    setText(note, points.length ? "" : "No metrics in this time. They come every 10 seconds; simulated deployments have none.");
    const to = now();
    const length = RANGES[since()][1] * 60_000;
    for (const plot of plots) plot.show(points, to - length, to, Math.max(INTERVAL, length / MAX_POINTS));
  }

  /**
   * Mark a point in all plots. By the pointer, its values are shown there; by a key, they are said.
   *
   * @param {number | null} index
   * @param {{x: number, y: number, plot: Element}} [pointer]
   */
  function onPoint(index, pointer) {
    for (const plot of plots) plot.mark(index);
    const point = index === null ? undefined : points[index];
    const pointed = plots.find((plot) => plot.element === pointer?.plot);
    if (point && pointer && pointed) showTooltip(pointer, [clock(point.time), ...pointed.figures()]);
    else hideTooltip();
    if (point && !pointer) setText(reading, [clock(point.time), ...plots.flatMap((plot) => plot.figures())].join(", "));
  }
}
