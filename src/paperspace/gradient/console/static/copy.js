// Text to copy.

import { element, setText } from "./dom.js";

/**
 * A button that copies a text.
 *
 * @param {() => string} text
 * @param {string} [label]
 */
export function copyButton(text, label = "Copy") {
  const button = element("button", { type: "button", class: "quiet copy" }, label);
  button.addEventListener("click", async () => {
    // Browsers have a clipboard only for pages of this machine and of https.
    const result = await navigator.clipboard?.writeText(text()).then(() => "Copied", () => "Not copied");
    setText(button, result ?? "Not copied");
    setTimeout(() => setText(button, label), 1500);
  });
  return button;
}

/**
 * A block of code with a title and a button that copies it.
 *
 * @param {string} title
 * @param {string} code
 */
export function codeBlock(title, code) {
  const head = element("header", {}, element("h2", {}, title), copyButton(() => code));
  return element("section", { class: "code", "aria-label": title }, head, element("pre", { tabIndex: 0 }, element("code", {}, code)));
}
