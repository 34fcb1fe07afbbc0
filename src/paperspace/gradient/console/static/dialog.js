// Dialogs. The browser keeps the focus inside, closes them with Esc, and returns the focus.

import { element, replace } from "./dom.js";

let titles = 0;

/**
 * Open a dialog.
 *
 * @param {string} title
 * @param {(body: HTMLElement, close: () => void) => void} fill adds the content
 * @returns {HTMLDialogElement}
 */
export function openDialog(title, fill) {
  const id = `dialog-title-${++titles}`;
  const body = element("div", { class: "dialog-body" });
  const close = element("button", { type: "button", class: "quiet", "aria-label": "Close", onclick: () => dialog.close() }, "✕");
  const head = element("header", {}, element("h2", { id }, title), close);
  const dialog = element("dialog", { "aria-labelledby": id, onclose: () => dialog.remove() }, head, body);
  fill(body, () => dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Ask for confirmation, and run an action. The dialog stays open while it runs, and shows its error.
 *
 * @param {{title: string, text: string, verb: string, danger?: boolean, typed?: string, action: () => Promise<void>}} question
 *   `typed` is a text that has to be typed before the button works.
 */
export function confirmAction({ title, text, verb, danger = false, typed, action }) {
  openDialog(title, (body, close) => {
    const input = typed === undefined ? null : element("input", { autocomplete: "off", spellcheck: false, oninput: update });
    const button = element("button", { class: danger ? "danger" : "primary" }, verb);
    const message = element("p", { class: "error", role: "alert" });
    const form = element(
      "form",
      { onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), run()) },
      element("p", {}, text),
      input && element("label", {}, `Type ${typed} to confirm`, input),
      message,
      element("div", { class: "actions" }, element("button", { type: "button", onclick: close }, "Cancel"), button),
    );
    body.append(form);
    update();

    function update() {
      button.disabled = input !== null && input.value !== typed;
    }

    async function run() {
      button.disabled = true;
      replace(message);
      try {
        await action();
        close();
      } catch (error) {
        replace(message, error instanceof Error ? error.message : String(error));
        update();
      }
    }
  });
}
