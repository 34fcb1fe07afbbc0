// Dialogs. The browser keeps the focus inside, closes them with Esc, and returns the focus.

import { messageOf } from "./api.js";
import { element, setText } from "./dom.js";

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
 * A value that a question asks for. The button works while `accepts` returns true.
 *
 * @typedef {{label: string, type?: string, value?: string, accepts: (value: string) => boolean}} Field
 */

/**
 * Ask for confirmation, and run an action. The dialog stays open while it runs, and shows its error. If the dialog was
 * closed meanwhile, the error is announced.
 *
 * @param {{title: string, text: string, verb: string, danger?: boolean, field?: Field, action: (value: string) => Promise<void>,
 *   announce: (message: string) => void}} question
 */
export function confirmAction({ title, text, verb, danger = false, field, action, announce }) {
  const { label = "", accepts = () => true, type = "text", value = "" } = field ?? {};
  const input = element("input", { type, value, min: "0", autocomplete: "off", spellcheck: false, oninput: update });
  const button = element("button", { class: danger ? "danger" : "primary", autofocus: !field }, verb);
  const message = element("p", { class: "error", role: "alert" });
  const dialog = openDialog(title, (body, close) => {
    const form = element("form", { onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), run(close)) },
      element("p", {}, text), field && element("label", {}, label, input), message,
      element("div", { class: "actions" }, element("button", { type: "button", onclick: close }, "Cancel"), button),
    );
    body.append(form);
  });
  let running = false;
  update();
  if (field) input.select();

  function update() {
    button.disabled = running || !accepts(input.value);
  }

  /** @param {() => void} close */
  async function run(close) {
    running = true;
    update();
    setText(message, "");
    try {
      await action(input.value);
      close();
    } catch (error) {
      running = false;
      if (!dialog.open) announce(`${title}: ${messageOf(error)}`);
      setText(message, messageOf(error));
      update();
    }
  }
}
