// How values are written on the page of a deployment.

import { now } from "../now.js";

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
  const [day, clockTime] = localTime(time).split(" ");
  return localTime(now()).startsWith(day) ? clockTime : `${day} ${clockTime}`;
}

const localTime = (/** @type {string | number} */ time) => new Date(time).toLocaleString("sv"); // Swedish: as in ISO 8601

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
