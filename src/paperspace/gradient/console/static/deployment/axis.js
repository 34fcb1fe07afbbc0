// Scales of drawings: round values, and times of a clock.

const MINUTE = 60_000;
const STEPS = [1000, 5000, 15_000, 30_000, MINUTE, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, 60 * MINUTE,
  180 * MINUTE, 360 * MINUTE, 720 * MINUTE, 1440 * MINUTE];

/**
 * Return round times between two times, and how to write them.
 *
 * @param {number} from
 * @param {number} to
 * @param {number} most how many there are at most
 */
export function timeTicks(from, to, most) {
  const step = STEPS.find((length) => (to - from) / length <= most) ?? Math.ceil((to - from) / most / STEPS[13]) * STEPS[13];
  const shift = new Date(from).getTimezoneOffset() * MINUTE;
  const ticks = [];
  for (let time = Math.ceil((from - shift) / step) * step + shift; time <= to; time += step) ticks.push(time);
  return ticks.map((time) => {
    const text = new Date(time).toTimeString();
    return { time, label: step < MINUTE ? text.slice(0, 8) : text.slice(0, 5) };
  });
}

/**
 * Return round values from 0 to at least a maximum, with about four steps.
 *
 * @param {number} maximum
 * @param {{base?: number, least?: number}} [options] `base`: steps are round in it: 10, or 2 for bytes; `least`: the smallest step
 */
export function valueTicks(maximum, { base = 10, least = 0 } = {}) {
  const rough = (maximum || 1) / 4;
  const power = base ** Math.floor(Math.log(rough) / Math.log(base));
  const factors = base === 2 ? [1, 2] : [1, 2, 5, 10];
  const step = Math.max(least, factors.map((factor) => factor * power).find((size) => size >= rough) ?? rough);
  const count = Math.max(1, Math.ceil(maximum / step));
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}
