// A list of any length, of which only the visible rows exist. Rows keep their elements, so focus and selection survive.

import { inNextFrame } from "./frames.js";
import { keyedChildren } from "./keyed.js";

const OVERSCAN = 8; // rows above and below the visible ones

/**
 * @template Item
 * @typedef {{item: Item, index: number, top: number}} Placed an item of the list, and where its row is
 */

/**
 * @template Item
 * @typedef {object} Options
 * @property {HTMLElement} scroller the element that scrolls
 * @property {HTMLElement} body its child that gets the rows
 * @property {() => number} rowHeight the height of each row, in pixels
 * @property {(item: Item) => string} key identifies an item in each list that is shown
 * @property {() => HTMLElement} create creates the element of a row
 * @property {(row: HTMLElement, item: Item, index: number) => void} fill writes an item into a row; called for each update
 * @property {AbortSignal} signal ends the list
 */

/** @template Item */
export class WindowedList {
  /** @type {Item[]} */
  items = [];
  #options;
  #show;
  draw = inNextFrame(() => this.#draw());

  /** @param {Options<Item>} options */
  constructor(options) {
    this.#options = options;
    const { scroller, body, key, create, fill, signal } = options;
    const fillRow = (/** @type {HTMLElement} */ row, /** @type {Placed<Item>} */ { item, index, top }) => {
      row.dataset.key = key(item);
      row.style.transform = `translateY(${top}px)`;
      fill(row, item, index);
    };
    this.#show = keyedChildren(body, ({ item }) => key(item), create, fillRow);
    body.classList.add("windowed");
    scroller.addEventListener("scroll", this.draw, { passive: true });
    const observer = new ResizeObserver(this.draw);
    observer.observe(scroller);
    signal.addEventListener("abort", () => observer.disconnect());
  }

  get rowHeight() {
    return this.#options.rowHeight();
  }

  /**
   * Show the list from a position, at once.
   *
   * @param {number} top
   */
  scrollTo(top) {
    this.#draw(); // so that the list has its height
    this.#options.scroller.scrollTop = top;
  }

  /**
   * Scroll as far as needed to make a row visible.
   *
   * @param {number} index -1: none
   */
  reveal(index) {
    const { scroller, body } = this.#options;
    const top = index * this.rowHeight; // what is above the rows sticks to the top
    const bottom = body.offsetTop + top + this.rowHeight;
    if (index >= 0 && top < scroller.scrollTop) scroller.scrollTop = top;
    else if (bottom > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = bottom - scroller.clientHeight;
    this.#draw();
  }

  #draw() {
    const { scroller, body, key } = this.#options;
    const { items, rowHeight } = this;
    body.style.height = `${items.length * rowHeight}px`;
    const first = Math.max(0, Math.floor((scroller.scrollTop - body.offsetTop) / rowHeight) - OVERSCAN);
    const last = Math.min(items.length, first + Math.ceil(scroller.clientHeight / rowHeight) + 2 * OVERSCAN);
    const indexes = Array.from({ length: Math.max(0, last - first) }, (_, offset) => first + offset);
    const focused = body.querySelector("[data-key]:focus-within")?.getAttribute("data-key");
    const index = focused ? items.findIndex((item) => key(item) === focused) : -1;
    if (index >= last) indexes.push(index); // scrolled out of sight, but it keeps the focus
    else if (index >= 0 && index < first) indexes.unshift(index);
    this.#show(indexes.map((index) => ({ item: items[index], index, top: index * rowHeight })));
  }
}
