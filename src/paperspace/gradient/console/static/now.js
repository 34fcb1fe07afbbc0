// The time now, on the clock of the server: that of this machine may be wrong, and times of the server would seem to be of the
// future, or of long ago.

const TOLERANCE = 5_000; // milliseconds: a response has its time in seconds, and takes a while
const SECOND = 1_000; // milliseconds: the time is rounded down, and what happened in this second would be of the future

let ahead = 0; // milliseconds that the server's clock is ahead

/** The time now, in milliseconds. */
export const now = () => Date.now() + ahead;

/**
 * Learn the time of the server.
 *
 * @param {Response} response
 */
export function learnTime(response) {
  const difference = Date.parse(response.headers.get("Date") ?? "") + SECOND - Date.now();
  ahead = Math.abs(difference) > TOLERANCE ? difference : 0;
}
