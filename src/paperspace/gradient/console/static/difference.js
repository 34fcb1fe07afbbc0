// The difference between two specs, side by side.

import { element } from "./dom.js";

/** @typedef {{path: string, before: unknown, after: unknown}} SpecChange */

/**
 * A table of changes, as the library computes them: the field, its value before, and its value after.
 *
 * @param {SpecChange[]} changes
 * @param {{before?: string, after?: string}} [titles]
 */
export function differenceTable(changes, { before = "Before", after = "After" } = {}) {
  if (changes.length === 0) return element("p", { class: "empty" }, "No changes.");
  // Of a new deployment, there is nothing before.
  const sides = /** @type {const} */ ([["before", before], ["after", after]]).filter(([side]) => changes.some((change) => isSet(change[side])));
  const head = ["Field", ...sides.map(([, title]) => title)].map((title) => element("th", { scope: "col" }, title));
  const rows = changes.map((change) => {
    const hidden = change.before !== null && JSON.stringify(change.before) === JSON.stringify(change.after);
    return element("tr", {},
      element("th", { scope: "row" }, ...breakable(change.path, /(?=\.)|(?<=_)/)),
      ...sides.map(([side]) => cell(side, change[side], hidden && side === "after" ? ", changed" : "")),
    );
  });
  return element("table", { class: "difference" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

const isSet = (/** @type {unknown} */ value) => value !== null && value !== undefined;

/**
 * A text that may be broken where a pattern matches, rather than in a word.
 *
 * @param {string} text
 * @param {RegExp} where
 */
function breakable(text, where) {
  return text.split(where).flatMap((part) => [element("wbr"), part]);
}

/**
 * @param {"before" | "after"} side
 * @param {unknown} value
 * @param {string} note
 */
function cell(side, value, note) {
  if (!isSet(value)) return element("td", { class: "not-set" }, "not set");
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return element("td", { class: side }, ...breakable(text + note, /(?<=[/:,@])/));
}
