// The replicas of a deployment: their states now, and the phases that each went through, as a drawing.

import { element, replace, setText, svg } from "../dom.js";
import { setState, stateBadge } from "../format.js";
import { keyedChildren } from "../keyed.js";
import { now } from "../now.js";
import { timeTicks } from "./axis.js";
import { hideTooltip, showTooltip } from "./tooltip.js";
import { clock } from "./words.js";

/** @typedef {import("./types.js").Lane} Lane */
/** @typedef {import("./types.js").Page} Page */

/** The shortest and the longest time that is drawn, in milliseconds. */
const SHORTEST = 20_000;
const LONGEST = 24 * 3600_000;

/** Where each phase is drawn: its top and its height. So that it can be told without its color. */
const SHAPES = { pending: [7, 6], healthy: [3, 14], retrying: [7, 6], failed: [3, 14], stopping: [9, 2] };

/** The shape beside the state of a replica. @type {Record<string, string>} */
const BADGES = { healthy: "ready", retrying: "pending", errored: "failed", stopping: "stopped", removed: "stopped" };

/** Half the width of a label of the axis, in pixels. */
const HALF_LABEL = 28;

/** How near to an event the pointer has to be, in pixels. */
const NEAR = 6;

/**
 * @param {HTMLElement} parent
 * @param {Page} page
 * @param {AbortSignal} signal
 * @returns {() => void} draws the timeline again
 */
export function mountTimeline(parent, page, signal) {
  const axis = svg("svg", { class: "lane-axis", "aria-hidden": "true" });
  const body = element("tbody");
  const table = element("table", { class: "lanes" },
    element("thead", {}, element("tr", {},
      ...["Replica", "State", "Restarts"].map((title) => element("th", { scope: "col" }, title)),
      element("th", { scope: "col" }, element("span", { class: "hidden-text" }, "Timeline"), axis))), body);
  const none = element("p", { class: "muted" }, "No replicas.");
  parent.append(table, none);
  signal.addEventListener("abort", hideTooltip);
  const show = keyedChildren(body, (/** @type {Lane} */ { name }) => name, createRow, updateRow);
  let from = 0;
  let to = 0;
  const percent = (/** @type {number} */ time) => Math.max(0, Math.min(100, ((time - from) / (to - from)) * 100));
  return draw;

  function draw() {
    const { lanes } = page;
    to = now();
    const begins = lanes.flatMap(({ phases }) => phases.map((phase) => Date.parse(phase.from)));
    from = Math.max(Math.min(to - SHORTEST, ...begins), to - LONGEST);
    table.hidden = !lanes.length;
    none.hidden = Boolean(lanes.length);
    const ticks = timeTicks(from, to, Math.max(2, Math.floor(axis.clientWidth / 80)));
    const margin = (HALF_LABEL / axis.clientWidth) * 100; // a label there would be beside the drawing
    const shown = ticks.filter(({ time }) => percent(time) >= margin && percent(time) <= 100 - margin);
    replace(axis, ...shown.map(({ time, label }) => svg("text", { x: `${percent(time)}%`, y: 12, "text-anchor": "middle" }, label)));
    show(lanes);
  }

  /** @param {Lane} lane */
  function createRow({ name }) {
    const drawing = svg("svg", { class: "lane", role: "img" });
    drawing.addEventListener("pointermove", ({ clientX: x, clientY: y }) => {
      const { left, width } = drawing.getBoundingClientRect();
      const perPixel = (to - from) / width;
      const lane = page.lanes.find((other) => other.name === name);
      if (lane) showTooltip({ x, y }, describe(lane, from + (x - left) * perPixel, NEAR * perPixel));
    });
    drawing.addEventListener("pointerleave", hideTooltip);
    return element("tr", {},
      element("th", { scope: "row", class: "mono" }, name), element("td", {}, stateBadge("pending")),
      element("td", { class: "number" }), element("td", { class: "lane-cell" }, drawing));
  }

  /**
   * @param {HTMLTableRowElement} row
   * @param {Lane} lane
   */
  function updateRow(row, lane) {
    const [, state, restarts, cell] = row.cells;
    row.classList.toggle("is-old", !lane.current);
    const badge = /** @type {HTMLElement} */ (state.firstElementChild);
    setState(badge, BADGES[lane.state] ?? lane.state, lane.state);
    badge.title = lane.message;
    setText(restarts, lane.restarts ? String(lane.restarts) : "");
    const drawing = /** @type {SVGElement} */ (cell.firstElementChild);
    drawing.setAttribute("aria-label", lane.phases.map((phase) => `${phase.phase} from ${clock(phase.from)}`).join(", "));
    const phases = lane.phases.map((phase) => {
      const x = percent(Date.parse(phase.from));
      const [y, height] = SHAPES[phase.phase];
      return svg("rect", { class: `phase-${phase.phase}`, x: `${x}%`, width: `${Math.max(percent(endOf(phase)) - x, 0.2)}%`, y, height });
    });
    const marks = lane.marks.map(({ time, severity }) =>
      svg("circle", { class: `mark mark-${severity.toLowerCase()}`, cx: `${percent(Date.parse(time))}%`, cy: 10, r: 2.5 }));
    replace(drawing, ...phases, ...marks);
  }
}

const endOf = (/** @type {{to: string | null}} */ { to }) => (to === null ? now() : Date.parse(to));

/**
 * Describe what happened to a replica at a time: the nearest event, or its phase.
 *
 * @param {Lane} lane
 * @param {number} time
 * @param {number} near
 */
function describe(lane, time, near) {
  const distance = (/** @type {{time: string}} */ mark) => Math.abs(Date.parse(mark.time) - time);
  const [mark] = lane.marks.filter((other) => distance(other) <= near).sort((one, other) => distance(one) - distance(other));
  if (mark) {
    const times = mark.count > 1 ? `, ${mark.count} times` : "";
    return [`${clock(mark.time)}  ${mark.reason}${times}`, mark.message];
  }
  const phase = lane.phases.find((other) => Date.parse(other.from) <= time && time <= endOf(other));
  return phase ? [`${phase.phase}, ${clock(phase.from)} to ${clock(endOf(phase))}`] : [clock(time)];
}
