// The history of each replica, computed from the events and the status.

/** @typedef {import("./types.js").Event} Event */
/** @typedef {import("./types.js").Status} Status */
/** @typedef {"pending" | "healthy" | "retrying" | "failed" | "stopping"} Phase */

/**
 * What is drawn for one replica: its phases one after the other, and its events.
 *
 * @typedef {object} Lane
 * @property {string} name
 * @property {string} state the state now, or "removed"
 * @property {string} message
 * @property {number} restarts
 * @property {boolean} current whether it is of the newest revision and not removed
 * @property {{from: number, to: number, phase: Phase}[]} phases
 * @property {{time: number, event: Event}[]} events
 */

/** @type {Record<string, Phase>} the phase that begins with an event */
const PHASES = {
  Pulling: "pending", Cloning: "pending", Started: "pending", NoFreePort: "pending",
  PullFailed: "failed", CloneFailed: "failed", StartFailed: "failed",
  Ready: "healthy", Unready: "retrying", Unhealthy: "retrying", Crashed: "retrying", Ended: "retrying", Lost: "retrying",
  Stopping: "stopping",
};
/** @type {Record<string, Phase>} the phase of a state */
const STATES = { pending: "pending", healthy: "healthy", retrying: "retrying", errored: "failed", failed: "failed" };

/** How many removed replicas are shown. */
const REMOVED = 8;

/**
 * Return a lane for each replica: those of the newest revision, then the others, newest first.
 *
 * @param {Status} status
 * @param {Event[]} events
 * @param {number} now
 * @returns {Lane[]}
 */
export function lanesOf(status, events, now) {
  /** @type {Map<string, Event[]>} */
  const byName = new Map();
  for (const event of events) {
    if (event.instanceName) byName.set(event.instanceName, [...(byName.get(event.instanceName) ?? []), event]);
  }
  const began = events.find(({ reason, deploymentSpecId }) => reason === "RolloutStarted" && deploymentSpecId === status.specId);
  const current = status.instances.map((instance, index) => {
    const own = byName.get(instance.name ?? "") ?? [];
    byName.delete(instance.name ?? "");
    const start = Date.parse(began?.dtCreated ?? status.dtCreated);
    const lane = laneOf(instance.name ?? `not scheduled yet (${index + 1})`, own, now, own.length ? undefined : start);
    lane.phases[lane.phases.length - 1].phase = STATES[instance.state ?? "pending"] ?? "pending"; // also if no event says it
    return { ...lane, state: instance.state ?? "pending", message: instance.message ?? "", current: true };
  });
  const others = [...byName].map(([name, own]) => laneOf(name, own, now));
  const running = others.filter(({ state }) => state !== "removed");
  return [...current, ...running, ...others.filter(({ state }) => state === "removed").slice(0, REMOVED)];
}

/**
 * @param {string} name
 * @param {Event[]} events newest first
 * @param {number} now
 * @param {number} [start]
 * @returns {Lane}
 */
function laneOf(name, events, now, start = now) {
  // An event that happened several times is known by its first and its last time.
  const times = events
    .flatMap((event) => [...new Set([event.dtCreated, event.dtLast])].map((time) => ({ time: Date.parse(time), event })))
    .sort((one, other) => one.time - other.time);
  const removed = times.find(({ event }) => event.reason === "Removed");
  const changes = times.filter(({ event }) => PHASES[event.reason]);
  const end = removed?.time ?? now;
  const phases = changes.map(({ time, event }, index) =>
    ({ from: time, to: changes[index + 1]?.time ?? end, phase: PHASES[event.reason] }));
  if (!phases.length) phases.push({ from: Math.min(start, times[0]?.time ?? start), to: end, phase: "pending" });
  const number = (/** @type {string} */ reason) => events.find((event) => event.reason === reason)?.count ?? 0;
  const last = events[0];
  return {
    name, phases, events: times, current: false,
    state: removed ? "removed" : phases.at(-1)?.phase ?? "pending",
    message: last?.message ?? "",
    restarts: Math.max(0, number("Started") - 1, number("Crashed") + number("Ended") - (last?.reason === "Crashed" ? 1 : 0)),
  };
}
