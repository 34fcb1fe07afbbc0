// Light and dark: as the system says, until the button is used.

import { element, setText } from "./dom.js";

const STORED = "console-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

/** @returns {"light" | "dark"} */
const systemTheme = () => (dark.matches ? "dark" : "light");

/** A button that switches between light and dark. */
export function themeButton() {
  const button = element("button", { type: "button", class: "quiet", onclick: switchTheme });
  const root = document.documentElement;
  dark.addEventListener("change", apply);
  apply();
  return button;

  function switchTheme() {
    const other = root.dataset.theme === "dark" ? "light" : "dark";
    if (other === systemTheme()) localStorage.removeItem(STORED); // follow the system again
    else localStorage.setItem(STORED, other);
    apply();
  }

  function apply() {
    root.dataset.theme = localStorage.getItem(STORED) ?? systemTheme();
    setText(button, root.dataset.theme === "dark" ? "Light" : "Dark");
    button.title = `Use ${root.dataset.theme === "dark" ? "light" : "dark"} colors`;
  }
}
