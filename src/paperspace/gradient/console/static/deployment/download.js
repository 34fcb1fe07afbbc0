// The whole log as a file.

import { attempt } from "../api.js";
import { element, setText } from "../dom.js";
import { count } from "./words.js";

/**
 * Read the whole log, and save it. The button says how many lines were read.
 *
 * @param {import("./types.js").Page} page
 * @param {string} instance the only replica; "": all
 * @param {HTMLButtonElement} button
 * @param {AbortSignal} signal
 */
export async function download(page, instance, button, signal) {
  const label = button.textContent ?? "";
  /** @type {string[]} */
  let lines = [];
  const start = () => {
    lines = []; // also after a lost connection
    return { instance: instance || null, follow: false };
  };
  const add = (/** @type {any[]} */ batches) => {
    for (const batch of batches) for (const [name, , time, text] of batch.lines) lines.push(`${time} ${name} ${text}\n`);
    setText(button, count(lines.length, "line"));
  };
  button.disabled = true;
  const complete = await attempt(page.stream("logs", start, add, signal).then(() => true), page.announce, signal);
  button.disabled = false;
  setText(button, label);
  if (!complete || signal.aborted) return;
  const href = URL.createObjectURL(new Blob(lines, { type: "text/plain" }));
  element("a", { href, download: `${page.status.name}.log` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}
