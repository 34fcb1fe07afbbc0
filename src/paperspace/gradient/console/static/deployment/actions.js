// What can be done with a deployment. Each action asks first.

import { confirmAction } from "../dialog.js";
import { count } from "./words.js";

/** @typedef {import("./types.js").Page} Page */

/** @param {Page} page */
export function scale(page) {
  const { name, replicas } = page.status;
  confirmAction({
    title: `Scale ${name}`, verb: "Scale", announce: page.announce,
    text: "A new revision gets this number of replicas; with 0, the deployment is stopped.",
    field: { label: "Replicas", type: "number", value: String(replicas), accepts: (value) => /^\d+$/.test(value) && Number(value) !== replicas },
    action: async (value) => {
      await page.call("scale", { replicas: Number(value) });
      page.announce(`${name} is scaled to ${count(Number(value), "replica")}.`);
    },
  });
}

/** @param {Page} page */
export function restart(page) {
  confirmAction({
    title: `Restart ${page.status.name}`, verb: "Restart", announce: page.announce,
    text: "New replicas start with the same spec, as a new revision. The earlier ones serve until these are ready.",
    action: () => run(page, "restart"),
  });
}

/**
 * Stop the deployment, or start it if it is stopped.
 *
 * @param {Page} page
 */
export function stopOrStart(page) {
  const [action, verb, text] = isStopped(page)
    ? /** @type {const} */ (["start", "Start", "It runs with the number of replicas in its spec."])
    : /** @type {const} */ (["stop", "Stop", "Its replicas end, and its endpoint does not respond until it is started again."]);
  confirmAction({ title: `${verb} ${page.status.name}`, verb, text, announce: page.announce, action: () => run(page, action) });
}

/** @param {Page} page */
export function isStopped({ status }) {
  return status.state === "stopped" || (status.applied && status.replicas === 0);
}

/** @param {Page} page */
export function remove(page) {
  const { name } = page.status;
  confirmAction({
    title: `Delete ${name}`, verb: "Delete", danger: true, announce: page.announce,
    field: { label: `Type ${name} to confirm`, accepts: (value) => value === name },
    text: "The deployment stops serving, and its revisions, events and logs are gone. This cannot be undone.",
    action: async () => {
      await page.call("delete", { name });
      page.announce(`Deleted ${name}.`);
    },
  });
}

/**
 * @param {Page} page
 * @param {"restart" | "start" | "stop"} action
 */
async function run(page, action) {
  await page.call(action);
  page.announce(`${page.status.name} ${action}s.`);
}
