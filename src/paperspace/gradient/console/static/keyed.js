// Lists whose items keep their elements, so that focus, selection and scroll position survive an update.

/**
 * Return a function that shows items as the children of an element.
 *
 * @template Item
 * @template {Element} Shown
 * @param {Element} parent
 * @param {(item: Item) => string} key
 * @param {(item: Item) => Shown} create
 * @param {(shown: Shown, item: Item) => void} update
 * @returns {(items: Item[]) => void}
 */
export function keyedChildren(parent, key, create, update) {
  /** @type {Map<string, Shown>} */
  const shown = new Map();
  return (items) => {
    const keys = new Set(items.map(key));
    for (const [known, child] of shown) {
      if (keys.has(known)) continue;
      child.remove();
      shown.delete(known);
    }
    const focused = /** @type {HTMLElement | null} */ (parent.querySelector(":focus"));
    let next = parent.firstChild;
    for (const item of items) {
      const child = shown.get(key(item)) ?? create(item);
      shown.set(key(item), child);
      update(child, item);
      if (child === next) next = child.nextSibling;
      else parent.insertBefore(child, next);
    }
    if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true }); // it was moved
  };
}
