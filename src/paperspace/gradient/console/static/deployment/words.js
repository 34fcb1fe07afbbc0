// How the page says the state of a deployment, and values, in words.

/** @typedef {import("./types.js").Page} Page */

/**
 * What the state means, in one sentence.
 *
 * @param {Page} page
 */
export function meaning({ status, revisions }) {
  const { state, applied, replicas, readyReplicas, serving } = status;
  const ready = `${readyReplicas} of ${count(replicas, "replica")} ready`;
  if (state === "stopped") return "no replicas run";
  if (state === "ready") return readyReplicas < replicas ? `${ready}; autoscaling is still adding replicas` : ready;
  const earlier = revisions.find(({ id }) => id === serving?.specId);
  const revision = earlier ? `revision ${earlier.number}` : "an earlier revision";
  const meanwhile = serving ? `; ${revision} serves, with ${count(serving.readyReplicas, "ready replica")}` : "";
  if (state === "failed") return `the newest revision does not run${meanwhile || `; ${ready}`}`;
  if (!applied) return `the newest revision is not applied yet${meanwhile}`;
  return replicas === 0 ? "replicas finish their requests, and stop" : `a rollout is in progress; ${ready}${meanwhile}`;
}

/**
 * Why the deployment has failed, or is not ready yet; "" if there is nothing to say.
 *
 * @param {Page} page
 */
export function reason({ status, events }) {
  if (status.state === "ready" || status.state === "stopped") return "";
  if (status.error) return status.error;
  const instance = status.instances.find(({ state, message }) => state !== "healthy" && message);
  if (instance) return `${instance.name}: ${instance.message}`;
  const warning = events?.find(({ severity, deploymentSpecId }) =>
    severity === "WARNING" && deploymentSpecId === status.specId);
  return warning?.message ?? "";
}

/**
 * A number with its noun, such as "2 replicas".
 *
 * @param {number} number
 * @param {string} noun
 */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

/**
 * A time of today as "09:30:00", and an earlier one with its date.
 *
 * @param {string | number} time
 */
export function clock(time) {
  const date = new Date(time);
  const today = date.toDateString() === new Date().toDateString();
  return `${today ? "" : `${localDate(date)} `}${date.toTimeString().slice(0, 8)}`;
}

/** @param {Date} date */
function localDate(date) {
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}

/**
 * A number of bytes in the largest unit that fits, such as "1.5 MiB".
 *
 * @param {number} bytes
 */
export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(bytes, 1)) / 10));
  const value = bytes / 1024 ** unit;
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/**
 * A duration in seconds or milliseconds.
 *
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds === 0) return "0";
  if (seconds >= 1) return `${seconds.toFixed(seconds >= 10 ? 0 : 1)} s`;
  const milliseconds = seconds * 1000;
  return `${milliseconds.toFixed(milliseconds >= 10 ? 0 : 1)} ms`;
}
