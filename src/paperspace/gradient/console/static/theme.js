// Light and dark: as the system says, until the button is used.

import { element, setText } from "./dom.js";

const STORED = "console-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

/** @returns {"light" | "dark"} */
const systemTheme = () => (dark.matches ? "dark" : "light");
const theme = () => localStorage.getItem(STORED) ?? systemTheme();

/** A button that switches between light and dark. */
export function themeButton() {
  const button = element("button", { type: "button", class: "quiet", onclick: switchTheme });
  dark.addEventListener("change", apply);
  apply();
  return button;

  function switchTheme() {
    const other = theme() === "dark" ? "light" : "dark";
    if (other === systemTheme()) localStorage.removeItem(STORED); // follow the system again
    else localStorage.setItem(STORED, other);
    apply();
  }

  function apply() {
    const stored = localStorage.getItem(STORED);
    if (stored) document.documentElement.dataset.theme = stored;
    else delete document.documentElement.dataset.theme; // the style sheet follows the system
    const other = theme() === "dark" ? "light" : "dark";
    setText(button, other === "dark" ? "Dark" : "Light");
    button.title = `Use ${other} colors`;
  }
}
