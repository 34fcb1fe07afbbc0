// The whole log as a file.

import { element, setText } from "../dom.js";
import { count } from "./words.js";

/**
 * Read the whole log, and save it. The button says how many lines were read; a second click ends it.
 *
 * @param {import("./types.js").Page} page
 * @param {string} instance the only replica; "": all
 * @param {HTMLButtonElement} button
 * @param {AbortSignal} signal
 */
export async function download(page, instance, button, signal) {
  if (button.getAttribute("aria-busy")) return;
  button.setAttribute("aria-busy", "true");
  const label = button.textContent ?? "";
  const reading = new AbortController();
  const cancel = () => reading.abort();
  signal.addEventListener("abort", cancel);
  button.addEventListener("click", cancel, { once: true });
  /** @type {string[]} */
  let parts = [];
  let read = 0;
  const args = () => {
    parts = [];
    read = 0;
    return { instance: instance || null, follow: false };
  };
  try {
    await page.stream("logs", args, (batches) => {
      for (const { lines } of batches) {
        parts.push(lines.map((/** @type {any[]} */ [name, , time, text]) => `${time} ${name} ${text}\n`).join(""));
        read += lines.length;
      }
      setText(button, `${count(read, "line")}, cancel`);
    }, reading.signal);
    if (reading.signal.aborted) return;
    const href = URL.createObjectURL(new Blob(parts, { type: "text/plain" }));
    element("a", { href, download: `${page.status.name}.log` }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60_000);
  } catch (error) {
    page.announce(/** @type {Error} */ (error).message);
  } finally {
    setText(button, label);
    button.removeAttribute("aria-busy");
    button.removeEventListener("click", cancel);
    signal.removeEventListener("abort", cancel);
  }
}
