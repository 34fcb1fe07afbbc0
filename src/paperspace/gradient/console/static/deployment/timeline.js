// The replicas of a deployment: their states now, and the phases that each went through, as a drawing.

import { element, replace, setText, svg } from "../dom.js";
import { timeTicks } from "./axis.js";
import { setState, stateBadge } from "../format.js";
import { keyedChildren } from "./keyed.js";
import { lanesOf } from "./lanes.js";
import { hideTooltip, showTooltip } from "./tooltip.js";
import { clock } from "./words.js";

/** @typedef {import("./lanes.js").Lane} Lane */
/** @typedef {import("./types.js").Page} Page */

/** The shortest and the longest time that is drawn, in milliseconds. */
const SHORTEST = 20_000;
const LONGEST = 24 * 3600_000;

/** Where each phase is drawn: its top and its height. So that it can be told without its color. */
const SHAPES = { pending: [7, 6], healthy: [3, 14], retrying: [7, 6], failed: [3, 14], stopping: [9, 2] };

/** The shape beside the state of a replica. @type {Record<string, string>} */
const BADGES = { healthy: "ready", retrying: "pending", errored: "failed", stopping: "stopped", removed: "stopped" };

/** How near to an event the pointer has to be, in pixels. */
const NEAR = 6;

/**
 * @param {HTMLElement} parent
 * @param {Page} page
 * @param {AbortSignal} signal
 * @returns {() => void} draws the timeline again
 */
export function mountTimeline(parent, page, signal) {
  signal.addEventListener("abort", hideTooltip);
  const axis = svg("svg", { class: "lane-axis", "aria-hidden": "true" });
  const body = element("tbody");
  const table = element("table", { class: "lanes" },
    element("thead", {}, element("tr", {},
      ...["Replica", "State", "Restarts"].map((title) => element("th", { scope: "col" }, title)),
      element("th", { scope: "col" }, element("span", { class: "hidden-text" }, "Timeline"), axis))), body);
  const none = element("p", { class: "muted" }, "No replicas.");
  parent.append(table, none);
  const range = { from: 0, to: 0 };

  const show = keyedChildren(body, (/** @type {Lane} */ lane) => lane.name, () => createRow(range), updateRow);

  return () => {
    const now = Date.now();
    const lanes = lanesOf(page.status, page.events ?? [], now);
    const first = Math.min(now - SHORTEST, ...lanes.flatMap(({ phases }) => phases.map(({ from }) => from)));
    range.from = Math.max(first, now - LONGEST);
    range.to = now;
    table.hidden = !lanes.length;
    none.hidden = Boolean(lanes.length);
    drawAxis(axis, range);
    show(lanes);
  };
}

/** @typedef {{from: number, to: number}} Range */

/**
 * @param {number} time
 * @param {Range} range
 */
function percent(time, { from, to }) {
  return Math.max(0, Math.min(100, ((time - from) / (to - from)) * 100));
}

/**
 * @param {SVGElement} axis
 * @param {Range} range
 */
function drawAxis(axis, range) {
  const most = Math.max(2, Math.floor(axis.clientWidth / 80));
  const ticks = timeTicks(range.from, range.to, most);
  replace(axis, ...ticks.map(({ time, label }) =>
    svg("text", { x: `${percent(time, range)}%`, y: 12, "text-anchor": "middle" }, label)));
}

/** @param {Range} range */
function createRow(range) {
  const lane = svg("svg", { class: "lane", role: "img" });
  const row = element("tr", {},
    element("th", { scope: "row", class: "mono" }), element("td", {}, stateBadge("pending")),
    element("td", { class: "number" }), element("td", { class: "lane-cell" }, lane));
  lane.addEventListener("pointermove", ({ clientX: x, clientY: y }) => {
    const { left, width } = lane.getBoundingClientRect();
    const time = range.from + ((x - left) / width) * (range.to - range.from);
    showTooltip({ x, y }, describe(shownLanes.get(row), time, ((range.to - range.from) / width) * NEAR));
  });
  lane.addEventListener("pointerleave", hideTooltip);
  ranges.set(row, range);
  return row;
}

/** @type {WeakMap<Element, Lane>} */
const shownLanes = new WeakMap();
/** @type {WeakMap<Element, Range>} */
const ranges = new WeakMap();

/**
 * @param {HTMLTableRowElement} row
 * @param {Lane} lane
 */
function updateRow(row, lane) {
  shownLanes.set(row, lane);
  const range = /** @type {Range} */ (ranges.get(row));
  const [name, state, restarts, cell] = row.cells;
  row.classList.toggle("is-old", !lane.current);
  setText(name, lane.name);
  const badge = /** @type {HTMLElement} */ (state.firstElementChild);
  setState(badge, BADGES[lane.state] ?? lane.state, lane.state);
  badge.title = lane.message;
  setText(restarts, lane.restarts ? String(lane.restarts) : "");
  const drawing = /** @type {SVGElement} */ (cell.firstElementChild);
  drawing.setAttribute("aria-label", lane.phases.map(({ from, phase }) => `${phase} from ${clock(from)}`).join(", "));
  replace(drawing, ...lane.phases.map(({ from, to, phase }) => {
    const x = percent(from, range);
    const [y, height] = SHAPES[phase];
    return svg("rect", { class: `phase-${phase}`, x: `${x}%`, width: `${Math.max(percent(to, range) - x, 0.2)}%`, y, height });
  }), ...lane.events.map(({ time, event }) =>
    svg("circle", { class: `mark mark-${event.severity.toLowerCase()}`, cx: `${percent(time, range)}%`, cy: 10, r: 2.5 })));
}

/**
 * Describe what happened to a replica at a time: the nearest event, or its phase.
 *
 * @param {Lane | undefined} lane
 * @param {number} time
 * @param {number} near
 */
function describe(lane, time, near) {
  const [event] = (lane?.events ?? [])
    .map(({ time: at, event: found }) => ({ distance: Math.abs(at - time), at, found }))
    .filter(({ distance }) => distance <= near)
    .sort((one, other) => one.distance - other.distance);
  if (event) {
    const times = event.found.count > 1 ? `, ${event.found.count} times` : "";
    return [`${clock(event.at)}  ${event.found.reason}${times}`, event.found.message];
  }
  const phase = lane?.phases.find(({ from, to }) => from <= time && time <= to);
  return phase ? [`${phase.phase}, ${clock(phase.from)} to ${clock(phase.to)}`] : [clock(time)];
}
