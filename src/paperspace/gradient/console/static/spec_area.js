// A text area for spec files: with the numbers of the lines, and marks on those that have a problem.

import { element, replace } from "./dom.js";

/** @typedef {{line: number, column: number, message: string}} Problem line and column begin at 1; 0: not known */

/**
 * @param {string} text
 * @param {() => void} onChange
 */
export function specArea(text, onChange) {
  const numbers = element("div", { class: "numbers", "aria-hidden": true });
  const input = element("textarea", {
    value: text, wrap: "off", spellcheck: false, autocapitalize: "off", autocomplete: "off",
    "aria-label": "Spec, as YAML or JSON", "aria-describedby": "problems",
  });
  const area = element("div", { class: "spec-area" }, numbers, input);
  /** @type {Set<number>} */
  let marked = new Set();
  let lines = 0;

  input.addEventListener("input", () => (number(), onChange()));
  input.addEventListener("scroll", () => void (numbers.scrollTop = input.scrollTop));
  input.addEventListener("keydown", indent);
  number();
  return { area, input, mark, select };

  function number() {
    const count = input.value.split("\n").length;
    if (count === lines) return;
    lines = count;
    replace(numbers, ...Array.from({ length: count }, (_, index) => element("span", { class: marked.has(index + 1) ? "marked" : "" }, index + 1)));
    numbers.scrollTop = input.scrollTop;
  }

  /**
   * Mark the lines of problems.
   *
   * @param {Problem[]} problems
   */
  function mark(problems) {
    marked = new Set(problems.map(({ line }) => line));
    [...numbers.children].forEach((child, index) => child.classList.toggle("marked", marked.has(index + 1)));
    input.setAttribute("aria-invalid", String(problems.length > 0));
  }

  /**
   * Move the cursor to a problem.
   *
   * @param {Problem} problem
   */
  function select({ line, column }) {
    const before = input.value.split("\n").slice(0, Math.max(line - 1, 0));
    const start = before.reduce((length, text) => length + text.length + 1, 0) + Math.max(column - 1, 0);
    input.focus();
    input.setSelectionRange(start, start);
  }

  /**
   * Begin a new line as far to the right as the one before.
   *
   * @param {KeyboardEvent} event
   */
  function indent(event) {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.isComposing) return;
    const line = input.value.slice(0, input.selectionStart).split("\n").pop() ?? "";
    const spaces = (/^ */.exec(line)?.[0] ?? "") + (/:\s*$/.test(line) ? "  " : "");
    if (!spaces) return;
    event.preventDefault();
    document.execCommand("insertText", false, `\n${spaces}`); // it can be undone, unlike a change of the value
  }
}
