// Work that waits for the next frame, so that many updates cost one.

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
 * Return a function that collects values, and passes all of them to `receive` in the next frame.
 *
 * @template Value
 * @param {(values: Value[]) => void} receive
 * @returns {(value: Value) => void}
 */
export function collected(receive) {
  /** @type {Value[]} */
  let values = [];
  const flush = inNextFrame(() => {
    const batch = values;
    values = [];
    receive(batch);
  });
  return (value) => {
    values.push(value);
    flush();
  };
}
