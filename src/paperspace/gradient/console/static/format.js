// How values are written: the same everywhere.

import { element, setText } from "./dom.js";
import { now } from "./now.js";

/** @typedef {"pending" | "ready" | "stopped" | "failed"} State */

const UNITS = /** @type {const} */ ([["d", 86_400], ["h", 3_600], ["m", 60]]);

/**
 * The time since a moment, in the largest unit that is not zero: `3d`, `5h`, `2m` or `10s`.
 *
 * @param {string} time in ISO 8601
 */
export function age(time) {
  const seconds = Math.max(0, Math.floor((now() - Date.parse(time)) / 1000));
  for (const [unit, length] of UNITS) if (seconds >= length) return `${Math.floor(seconds / length)}${unit}`;
  return `${seconds}s`;
}

/**
 * A moment on the clock of this machine, for people.
 *
 * @param {string} time in ISO 8601
 */
export function dateTime(time) {
  return new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/**
 * A state in word and shape, so that its color is not needed to read it.
 *
 * @param {string} state
 * @param {string} [word]
 */
export function stateBadge(state, word = state) {
  return element("span", { class: "state", "data-state": state }, element("i", { "aria-hidden": true }), element("span", {}, word));
}

/**
 * Change a badge.
 *
 * @param {HTMLElement} badge
 * @param {string} state
 * @param {string} [word]
 */
export function setState(badge, state, word = state) {
  badge.dataset.state = state;
  setText(/** @type {HTMLElement} */ (badge.lastElementChild), word);
}
