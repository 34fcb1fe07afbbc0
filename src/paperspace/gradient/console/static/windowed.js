// A list of any length, of which only the visible rows exist. Rows keep their elements, so focus and selection survive.

import { inNextFrame } from "./frames.js";

const OVERSCAN = 8; // rows above and below the visible ones

/**
 * @template Item
 * @typedef {object} Options
 * @property {HTMLElement} scroller the element that scrolls
 * @property {HTMLElement} body its child that gets the rows
 * @property {() => number} rowHeight the height of each row, in pixels
 * @property {(item: Item) => string} key identifies an item in each list that is shown
 * @property {() => HTMLElement} create creates the element of a row
 * @property {(row: HTMLElement, item: Item, index: number) => void} fill writes an item into a row; called for each update
 */

/** @template Item */
export class WindowedList {
  /** @type {Item[]} */
  items = [];
  /** @type {Map<string, HTMLElement>} */
  #rows = new Map();
  #options;
  #observer;
  draw = inNextFrame(() => this.#draw());

  /** @param {Options<Item>} options */
  constructor(options) {
    this.#options = options;
    options.body.classList.add("windowed");
    options.scroller.addEventListener("scroll", this.draw, { passive: true });
    this.#observer = new ResizeObserver(this.draw);
    this.#observer.observe(options.scroller);
  }

  get rowHeight() {
    return this.#options.rowHeight();
  }

  /**
   * Show a list, in the next frame.
   *
   * @param {Item[]} items
   */
  show(items) {
    this.items = items;
    this.draw();
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
   * @param {number} index
   */
  reveal(index) {
    const { scroller, body } = this.#options;
    const { rowHeight } = this;
    const top = body.offsetTop + index * rowHeight;
    const sticky = body.offsetTop; // what is above the rows sticks to the top
    if (top - sticky < scroller.scrollTop) scroller.scrollTop = top - sticky;
    else if (top + rowHeight > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + rowHeight - scroller.clientHeight;
    this.#draw();
  }

  /**
   * Return the element of an item. Undefined: it is not near the visible rows.
   *
   * @param {string} key
   */
  row(key) {
    return this.#rows.get(key);
  }

  /** Remove all rows, and stop to watch the element that scrolls. */
  end() {
    this.#observer.disconnect();
    this.#options.scroller.removeEventListener("scroll", this.draw);
    this.show([]);
  }

  #draw() {
    const { scroller, body, key, create, fill } = this.#options;
    const { items, rowHeight } = this;
    body.style.height = `${items.length * rowHeight}px`;
    const first = Math.max(0, Math.floor((scroller.scrollTop - body.offsetTop) / rowHeight) - OVERSCAN);
    const last = Math.min(items.length, first + Math.ceil(scroller.clientHeight / rowHeight) + 2 * OVERSCAN);
    const keys = items.slice(first, last).map(key);
    const visible = new Set(keys);
    const focused = document.activeElement?.closest("[data-key]");
    for (const [id, row] of this.#rows) {
      if (visible.has(id)) continue;
      if (row === focused && items.some((item) => key(item) === id)) continue; // scrolled out of sight, but it keeps the focus
      row.remove();
      this.#rows.delete(id);
    }
    let previous = /** @type {Element | null} */ (null);
    keys.forEach((id, offset) => {
      const row = this.#rows.get(id) ?? create();
      this.#rows.set(id, row);
      row.dataset.key = id;
      row.style.transform = `translateY(${(first + offset) * rowHeight}px)`;
      fill(row, items[first + offset], first + offset);
      const place = previous ? previous.nextElementSibling : body.firstElementChild;
      if (place !== row) body.insertBefore(row, place); // in the order of the list, for selections and screen readers
      previous = row;
    });
  }
}
