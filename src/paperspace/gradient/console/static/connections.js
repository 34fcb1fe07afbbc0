// The connections that streams may use. A browser has six to one server, and all windows share them: without a limit, the
// streams of three windows would leave none for actions, and for other windows.

import { openChannel } from "./storage.js";

const LIMIT = 5;

/** A message asks the other windows for connections that they do not need. */
export const requests = openChannel("console-connections");

/**
 * Wait for a connection that no other stream uses, in any window, and return the function that gives it back. A window that
 * is closed gives back those of its streams.
 *
 * @param {AbortSignal} signal ends the wait
 * @returns {Promise<() => void>}
 */
export async function takeConnection(signal) {
  if (!navigator.locks) return () => {}; // without TLS, browsers have locks only for addresses of this machine
  return new Promise((resolve) => {
    const waiting = new AbortController();
    const stop = () => (waiting.abort(), resolve(() => {}));
    signal.addEventListener("abort", stop, { signal: waiting.signal });
    for (let number = 0; number < LIMIT; number++)
      navigator.locks
        .request(`stream ${number}`, { signal: waiting.signal }, () => {
          if (waiting.signal.aborted) return undefined; // it has another one
          waiting.abort();
          return new Promise((release) => resolve(() => release(undefined)));
        })
        .catch(() => resolve(() => {})); // the wait has ended, or the browser blocks locks
  });
}
