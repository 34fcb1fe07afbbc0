// Addresses of pages. They are in the fragment of the URL, so the server never sees them: `#/deployments?filter=mnist`.

/**
 * @typedef {object} Address
 * @property {string[]} path such as `["deployments", ID, "logs"]`: nothing in it needs an escape
 * @property {URLSearchParams} parameters
 */

/** The address of the list of deployments, with the filter that it had when it was left. */
export const listAddress = { current: "#/" };

/**
 * Parse the fragment of a URL.
 *
 * @param {string} fragment
 * @returns {Address}
 */
export function parseAddress(fragment) {
  const [path, parameters = ""] = fragment.replace(/^#?\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean), parameters: new URLSearchParams(parameters) };
}

/**
 * Return the fragment for an address.
 *
 * @param {string[]} path
 * @param {URLSearchParams | Record<string, string>} [parameters] empty values are left out
 */
export function addressOf(path, parameters = {}) {
  const kept = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(parameters)) if (value) kept.set(name, value);
  const query = kept.toString();
  return `#/${path.join("/")}${query ? `?${query}` : ""}`;
}

/** @type {number} */
let retry;

/**
 * Change the address of the page that is shown. Safari allows 100 changes in 30 seconds, other browsers more: after that, the
 * newest address is shown when the browser allows it.
 *
 * @param {string} address
 * @param {AbortSignal} signal aborted when the page is left
 * @param {"pushState" | "replaceState"} [change] whether there is a new entry in the history
 */
export function showAddress(address, signal, change = "replaceState") {
  clearTimeout(retry);
  if (signal.aborted) return;
  try {
    history[change](null, "", address);
  } catch {
    retry = window.setTimeout(() => showAddress(address, signal, change), 1000);
  }
}
