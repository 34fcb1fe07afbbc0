// The shell: it opens the session, shows the page of the current address, and says whether there is a connection.

import { addressOf, parseAddress, showAddress } from "./address.js";
import { Api } from "./api.js";
import * as deployment from "./deployment.js";
import * as deployments from "./deployments.js";
import { element, replace, setText } from "./dom.js";
import * as editor from "./editor.js";
import { Keys } from "./keys.js";
import { openSession } from "./session.js";
import { themeButton } from "./theme.js";

/** @typedef {import("./address.js").Address} Address */

/**
 * What a page gets. A page is a module with `mount(element, context)`, which fills the element and returns `unmount`.
 *
 * @typedef {object} Context
 * @property {Api} api
 * @property {Address} address the address that the page was opened with
 * @property {AbortSignal} signal aborted when the page is left: for streams, calls that change nothing, keys and listeners
 * @property {(address: string) => void} navigate opens another page: `context.navigate(addressOf(["deployments", id]))`
 * @property {(path: string[], parameters?: Record<string, string>) => void} remember changes the address of the page
 *   that is shown, without a new entry in the history
 * @property {(key: string, description: string, action: (event: KeyboardEvent) => void, until?: AbortSignal) => void} bind binds
 *   a key, until the page is left or the signal is aborted
 * @property {(title: string) => void} title sets the title of the window
 * @property {(message: string) => void} announce says something to screen readers, politely, and shows it for a moment
 */

/** @typedef {{mount: (target: HTMLElement, context: Context) => (() => void)}} Page */

/**
 * The module of a page. All are loaded at the start: later there may be no connection, or a server of another version.
 *
 * @param {string[]} path
 * @returns {Page}
 */
function pageOf([first, id, part]) {
  if (first === "new" || (first === "deployments" && part === "edit")) return editor;
  if (first === "deployments" && id) return deployment;
  return deployments;
}

const ENDED = "The session has ended. Run `gradient console`, and open its link in another window.";

const main = element("main", { id: "main", tabIndex: -1 });
const connection = element("p", { class: "connection", role: "status" });
const toast = element("p", { class: "toast", role: "status" });
const keys = new Keys();

/** @param {Api} api */
function startShell(api) {
  const header = element("header", { class: "shell" },
    element("a", { class: "home", href: "#/" }, "Gradient Deployments"),
    connection,
    element("button", { type: "button", class: "quiet", title: "Show the keys", onclick: () => keys.showList() }, "Keys"),
    themeButton(),
  );
  document.body.append(header, main, toast);
  keys.bind("?", "Show this list", () => keys.showList());

  let leave = () => {};
  const show = () => {
    const address = parseAddress(location.hash);
    leave();
    document.querySelector("dialog")?.close();
    const controller = new AbortController();
    const { signal } = controller;
    replace(main);
    const unmount = pageOf(address.path).mount(main, {
      api, address, signal, announce,
      navigate: (target) => void (signal.aborted || (location.hash = target)),
      remember: (path, parameters) => showAddress(addressOf(path, parameters), signal),
      bind: (key, description, action, until = signal) => keys.bind(key, description, action, until),
      title: (title) => void (document.title = `${title} · Gradient Deployments`),
    });
    leave = () => (unmount(), controller.abort());
  };
  addEventListener("hashchange", show);
  show();
}

let hiding = 0;

/** @param {string} message */
function announce(message) {
  setText(toast, message);
  clearTimeout(hiding);
  hiding = window.setTimeout(() => setText(toast, ""), 4000);
}

/** @param {string} message */
function showWithoutSession(message) {
  const reason = message && element("p", { class: "error" }, `${message[0].toUpperCase()}${message.slice(1)}.`);
  const how = element("p", {}, "Run ", element("code", {}, "gradient console"), " in a shell: it prints a link that opens this page.");
  replace(document.body, element("main", { class: "no-session" }, element("h1", {}, "Gradient Deployments"), reason, how));
}

const { token, message } = await openSession();
if (token === null) showWithoutSession(message);
else
  startShell(
    new Api((state, reason) => {
      connection.dataset.state = state;
      setText(connection, { connected: "", reconnecting: `Reconnecting. ${reason}`, ended: ENDED }[state]);
    }),
  );
