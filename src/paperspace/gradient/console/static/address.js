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
