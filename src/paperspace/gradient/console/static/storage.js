// What the page stores in the browser and says to its other windows. If the browser blocks that, the page works alone until it is closed.

/** @type {Map<string, string | null>} what could not be stored */
const memory = new Map();

/**
 * Return what is stored. Null: nothing is.
 *
 * @param {"localStorage" | "sessionStorage"} storage
 * @param {string} key
 */
export function load(storage, key) {
  if (memory.has(key)) return memory.get(key) ?? null;
  try {
    return window[storage].getItem(key);
  } catch {
    return null;
  }
}

/**
 * @param {"localStorage" | "sessionStorage"} storage
 * @param {string} key
 * @param {string | null} value null: remove it
 */
export function store(storage, key, value) {
  memory.delete(key);
  try {
    if (value === null) window[storage].removeItem(key);
    else window[storage].setItem(key, value);
  } catch {
    memory.set(key, value);
  }
}

/**
 * Open a channel to the other windows. Without access to them, it is one that nobody else has.
 *
 * @param {string} name
 */
export function openChannel(name) {
  try {
    return new BroadcastChannel(name);
  } catch {
    return new MessageChannel().port1;
  }
}
