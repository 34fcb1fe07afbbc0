// The token of the session: from a link, from this tab, or from another tab of the console. Never in a cookie.

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
      if (token) sessionStorage.setItem(STORED, token);
      else message = error.message;
    } catch {
      message = "the console does not respond. Open the link again";
    }
  }
  const token = sessionStorage.getItem(STORED) ?? (await fromOtherTab());
  if (token) {
    sessionStorage.setItem(STORED, token);
    shareWithOtherTabs(token);
  }
  return { token, message };
}

// A link that is opened in a window with the page changes only the fragment, which loads nothing.
addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) location.reload();
});

/** Forget the token, which the server does not know any more. */
export function forgetSession() {
  sessionStorage.removeItem(STORED);
}

/** @returns {Promise<string | null>} */
function fromOtherTab() {
  const channel = new BroadcastChannel(STORED);
  return new Promise((resolve) => {
    const finish = (/** @type {string | null} */ token) => (channel.close(), resolve(token));
    channel.onmessage = ({ data }) => data.token && finish(data.token);
    channel.postMessage({ wanted: true });
    setTimeout(() => finish(null), WAIT);
  });
}

/** @param {string} token */
function shareWithOtherTabs(token) {
  const channel = new BroadcastChannel(STORED);
  channel.onmessage = ({ data }) => data.wanted && sessionStorage.getItem(STORED) && channel.postMessage({ token });
}
