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
  const head = ["Field", before, after].map((title) => element("th", { scope: "col" }, title));
  const rows = changes.map((change) => {
    const hidden = change.before !== null && JSON.stringify(change.before) === JSON.stringify(change.after);
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, ...breakable(change.path)),
      cell("before", change.before, ""),
      cell("after", change.after, hidden ? ", changed" : ""),
    );
  });
  return element("table", { class: "difference" }, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

/**
 * A path that may be broken in front of each dot.
 *
 * @param {string} path
 */
function breakable(path) {
  return path.split(/(?=\.)/).flatMap((step) => [element("wbr"), step]);
}

/**
 * @param {"before" | "after"} side
 * @param {unknown} value
 * @param {string} note
 */
function cell(side, value, note) {
  if (value === null || value === undefined) return element("td", { class: "not-set" }, "not set");
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return element("td", { class: side }, text + note);
}
