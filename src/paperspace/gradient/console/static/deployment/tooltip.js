// One small box beside the pointer, for drawings.

import { element, replace } from "../dom.js";

/** @type {HTMLElement | undefined} */
let box;

/**
 * Show lines of text beside a point of the window.
 *
 * @param {{x: number, y: number}} point
 * @param {string[]} lines
 */
export function showTooltip({ x, y }, lines) {
  box ??= element("div", { class: "tooltip", "aria-hidden": "true" });
  const { parentElement } = box;
  if (!parentElement) document.body.append(box);
  replace(box, ...lines.map((line) => element("div", {}, line)));
  const { width, height } = box.getBoundingClientRect();
  box.style.left = `${Math.max(4, x + 14 + width > innerWidth ? x - 14 - width : x + 14)}px`;
  box.style.top = `${Math.max(4, y + 14 + height > innerHeight ? y - 14 - height : y + 14)}px`;
}

/** Remove the box. */
export function hideTooltip() {
  box?.remove();
}
