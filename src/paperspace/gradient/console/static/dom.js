// Elements of the page. Text is always text: nothing here, or anywhere else, reads HTML.

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Create an element.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [properties] `class`, `data-...`, `aria-...` and `role` are attributes, `on...` are
 *   listeners, and all others are properties of the element. What is null or undefined is left out.
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, properties = {}, ...children) {
  const created = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on")) created.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === "class" || name === "role" || name === "for" || name.includes("-")) created.setAttribute(name, String(value));
    else Object.assign(created, { [name]: value });
  }
  append(created, children);
  return created;
}

/**
 * Create an element of SVG. All properties are attributes.
 *
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes = {}, ...children) {
  const created = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, String(value));
  append(created, children);
  return created;
}

/**
 * Replace the children of an element.
 *
 * @param {Element} parent
 * @param {...Child} children
 */
export function replace(parent, ...children) {
  parent.replaceChildren();
  append(parent, children);
}

/**
 * Set the text of an element if it differs, so that a selection in it survives.
 *
 * @param {Element} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/**
 * What a page shows instead of its content, if it has none.
 *
 * @param {string} message
 */
export function failurePage(message) {
  return element("section", { class: "empty", role: "alert" }, element("h1", {}, message), element("a", { class: "button", href: "#/" }, "All deployments"));
}

/**
 * A link that acts in place. With a modifier key, it opens another tab of the browser, as all links do.
 *
 * @param {string} href
 * @param {() => void} act
 * @param {...Child} children
 */
export function linkInPlace(href, act, ...children) {
  const link = element("a", { href }, ...children);
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    act();
  });
  return link;
}

/**
 * @param {Element} parent
 * @param {Child[]} children
 */
function append(parent, children) {
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) parent.append(child instanceof Node ? child : String(child));
  }
}
