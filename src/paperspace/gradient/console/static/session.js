// The token of the session: from a link, from this tab, or from another tab of the console. Never in a cookie.

import { load, openChannel, store } from "./storage.js";

const STORED = "console-token";
const WAIT = 300; // milliseconds for another tab to respond

/**
 * Return the token of the session. Null: there is none; `message` says why a link did not work.
 *
 * @returns {Promise<{token: string | null, message: string}>}
 */
export async function openSession() {
  const link = new URLSearchParams(location.hash.slice(1)).get("token");
  let message = "";
  if (link) {
    history.replaceState(null, "", "/"); // before anything else, so that the token does not remain in the history
    try {
      const response = await fetch("/console/session", { method: "POST", headers: { "X-Console-Token": link } });
      const { token, error } = await response.json();
      if (token) announceSession(token);
      else message = error.message;
    } catch {
      message = "the console does not respond. Open the link again";
    }
  }
  const token = load("sessionStorage", STORED) ?? (await fromOtherTab());
  if (token) {
    store("sessionStorage", STORED, token);
    shareWithOtherTabs();
  }
  return { token, message };
}

// A link that is opened in a window with the page changes only the fragment, which loads nothing.
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) location.reload();
});

/** The token of the session: that of the newest link that was opened in any window. */
export const sessionToken = () => load("sessionStorage", STORED) ?? "";

/**
 * Forget a token that the server does not know any more. A newer one stays: with it, the page works again.
 *
 * @param {string} token
 */
export function forgetSession(token) {
  if (load("sessionStorage", STORED) === token) store("sessionStorage", STORED, null);
}

/** @returns {Promise<string | null>} */
function fromOtherTab() {
  const channel = openChannel(STORED);
  return new Promise((resolve) => {
    const finish = (/** @type {string | null} */ token) => (channel.close(), resolve(token));
    channel.onmessage = ({ data }) => data.token && finish(data.token);
    channel.postMessage({ wanted: true });
    setTimeout(() => finish(null), WAIT);
  });
}

/**
 * Store the token of a new session, also in the other tabs: they may have one of before a restart, and would share that.
 *
 * @param {string} token
 */
function announceSession(token) {
  store("sessionStorage", STORED, token);
  const channel = openChannel(STORED);
  channel.postMessage({ opened: token });
  channel.close();
}

function shareWithOtherTabs() {
  const channel = openChannel(STORED);
  channel.onmessage = ({ data }) => {
    if (data.opened) store("sessionStorage", STORED, data.opened);
    const token = data.wanted && load("sessionStorage", STORED);
    if (token) channel.postMessage({ token });
  };
}
