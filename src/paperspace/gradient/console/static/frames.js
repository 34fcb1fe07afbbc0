// Work that waits: for the next frame, so that many updates cost one, or for a time.

/**
 * Return a function that runs `draw` in the next frame, once, however often it is called until then.
 *
 * @param {() => void} draw
 * @returns {() => void}
 */
export function inNextFrame(draw) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      draw();
    });
  };
}

/**
 * Collect values, and pass all of them to `receive` in the next frame.
 *
 * @template Value
 * @param {(values: Value[]) => void} receive
 * @returns {{add: (value: Value) => void, flush: () => void}} `flush` passes them at once
 */
export function collected(receive) {
  /** @type {Value[]} */
  let values = [];
  const flush = () => {
    const batch = values;
    values = [];
    if (batch.length) receive(batch);
  };
  const flushInNextFrame = inNextFrame(flush);
  const add = (/** @type {Value} */ value) => {
    values.push(value);
    flushInNextFrame();
  };
  return { add, flush };
}

/**
 * Run an action again and again, until a signal is aborted.
 *
 * @param {number} milliseconds
 * @param {() => void} action
 * @param {AbortSignal} signal
 */
export function every(milliseconds, action, signal) {
  const timer = setInterval(action, milliseconds);
  signal.addEventListener("abort", () => clearInterval(timer));
}
