// Light and dark: as the system says, until the button is used.

import { element, setText } from "./dom.js";
import { load, store } from "./storage.js";

const STORED = "console-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

/** @returns {"light" | "dark"} */
const systemTheme = () => (dark.matches ? "dark" : "light");
const theme = () => load("localStorage", STORED) || systemTheme();

/** A button that switches between light and dark. */
export function themeButton() {
  const button = element("button", { type: "button", class: "quiet", onclick: switchTheme });
  dark.addEventListener("change", apply);
  apply();
  return button;

  function switchTheme() {
    const other = theme() === "dark" ? "light" : "dark";
    store("localStorage", STORED, other === systemTheme() ? "" : other); // "": follow the system
    apply();
  }

  function apply() {
    document.documentElement.dataset.theme = load("localStorage", STORED) ?? "";
    const other = theme() === "dark" ? "light" : "dark";
    setText(button, other === "dark" ? "Dark" : "Light");
    button.title = `Use ${other} colors`;
  }
}
