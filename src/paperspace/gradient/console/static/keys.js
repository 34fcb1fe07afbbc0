// Keys of the keyboard: each page binds its own, and `?` lists all of them.

import { element } from "./dom.js";
import { openDialog } from "./dialog.js";

/** @typedef {{key: string, description: string, action: (event: KeyboardEvent) => void}} Binding */

const NAMES = new Map([["ArrowDown", "↓"], ["ArrowUp", "↑"], ["ArrowLeft", "←"], ["ArrowRight", "→"], ["Escape", "Esc"]]);

/** The bindings of the shell and of the page that is shown. */
export class Keys {
  /** @type {Map<string, Binding>} */
  #bindings = new Map();

  constructor() {
    document.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /**
   * Bind a key until the signal is aborted. The newest binding of a key counts.
   *
   * While a field is edited, only Escape and keys with Ctrl (`Ctrl+Enter`, on a Mac also with Command) work.
   *
   * @param {string} key as in `KeyboardEvent.key`
   * @param {string} description for the list of keys; "": not listed
   * @param {(event: KeyboardEvent) => void} action
   * @param {AbortSignal} [signal]
   */
  bind(key, description, action, signal) {
    const before = this.#bindings.get(key);
    const binding = { key, description, action };
    this.#bindings.set(key, binding);
    signal?.addEventListener("abort", () => {
      if (this.#bindings.get(key) !== binding) return;
      if (before) this.#bindings.set(key, before);
      else this.#bindings.delete(key);
    });
  }

  /** Show the list of keys. */
  showList() {
    const rows = [...this.#bindings.values()].filter(({ description }) => description);
    openDialog("Keys", (body) => {
      const list = element("dl", { class: "keys" });
      for (const { key, description } of rows) {
        list.append(element("dt", {}, element("kbd", {}, NAMES.get(key) ?? key)), element("dd", {}, description));
      }
      body.append(list);
    });
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.defaultPrevented || event.isComposing || event.altKey || document.querySelector("dialog[open]")) return;
    const control = event.ctrlKey || event.metaKey;
    if (isEdited(event.target) && !control && event.key !== "Escape") return;
    const binding = this.#bindings.get(control ? `Ctrl+${event.key}` : event.key);
    if (!binding) return;
    event.preventDefault();
    binding.action(event);
  }
}

/** Take the focus from the field that is edited. Returns whether there was one. */
export function leaveField() {
  const { activeElement } = document;
  if (!isEdited(activeElement)) return false;
  activeElement.blur();
  return true;
}

/**
 * @param {EventTarget | null} target
 * @returns {target is HTMLElement}
 */
function isEdited(target) {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
