// What can be done with a deployment. Each action asks first.

import { confirmAction, openDialog } from "../dialog.js";
import { element, setText } from "../dom.js";
import { count } from "./words.js";

/** @typedef {import("./types.js").Page} Page */

/** @param {Page} page */
export function scale(page) {
  const { name, replicas } = page.status;
  openDialog(`Scale ${name}`, (body, close) => {
    const input = element("input", { type: "number", min: "0", step: "1", value: String(replicas), oninput: check });
    const button = element("button", { class: "primary" }, "Scale");
    const failure = element("p", { class: "error", role: "alert" });
    body.append(element("form", { onsubmit: submit },
      element("label", {}, "Replicas", input),
      element("p", { class: "muted" }, "A new revision gets this number of replicas; with 0, the deployment is stopped."), failure,
      element("div", { class: "actions" }, element("button", { type: "button", onclick: close }, "Cancel"), button)));
    check();
    queueMicrotask(() => input.select());

    function check() {
      button.disabled = !/^\d+$/.test(input.value) || Number(input.value) === replicas;
    }

    /** @param {SubmitEvent} event */
    async function submit(event) {
      event.preventDefault();
      button.disabled = true;
      try {
        await page.call("scale", { replicas: Number(input.value) });
        close();
        page.announce(`${name} is scaled to ${count(Number(input.value), "replica")}.`);
      } catch (error) {
        setText(failure, /** @type {Error} */ (error).message);
        check();
      }
    }
  });
}

/** @param {Page} page */
export function restart(page) {
  confirmAction({
    title: `Restart ${page.status.name}`, verb: "Restart",
    text: "New replicas start with the same spec, as a new revision. The earlier ones serve until these are ready.",
    action: () => run(page, "restart", "restarts"),
  });
}

/**
 * Stop the deployment, or start it if it is stopped.
 *
 * @param {Page} page
 */
export function stopOrStart(page) {
  if (isStopped(page)) {
    confirmAction({
      title: `Start ${page.status.name}`, verb: "Start", text: "It runs with the number of replicas in its spec.",
      action: () => run(page, "start", "starts"),
    });
  } else {
    confirmAction({
      title: `Stop ${page.status.name}`, verb: "Stop",
      text: "Its replicas end, and its endpoint does not respond until it is started again.",
      action: () => run(page, "stop", "stops"),
    });
  }
}

/** @param {Page} page */
export function isStopped({ status }) {
  return status.state === "stopped" || (status.applied && status.replicas === 0);
}

/** @param {Page} page */
export function remove(page) {
  const { name } = page.status;
  confirmAction({
    title: `Delete ${name}`, verb: "Delete", danger: true, typed: name,
    text: "The deployment stops serving, and its revisions, events and logs are gone. This cannot be undone.",
    action: async () => void (await page.call("delete", { name })),
  });
}

/**
 * @param {Page} page
 * @param {string} action
 * @param {string} what happens then
 */
async function run(page, action, what) {
  await page.call(action);
  page.announce(`${page.status.name} ${what}.`);
}
