// Calls of Python: actions, and streams that connect again by themselves. `console/__init__.py` describes the requests.

import { requests, takeConnection } from "./connections.js";
import { collected } from "./frames.js";
import { learnTime } from "./now.js";
import { forgetSession, sessionToken } from "./session.js";

/** @typedef {{kind: string, message: string, retryable: boolean}} Failure */
/** @typedef {Record<string, unknown>} Arguments */
/** @typedef {"connected" | "reconnecting" | "ended"} Connection */

/** An error of an action or a stream. `kind` is the name of the library's error, such as `NotFoundError`. */
export class ApiError extends Error {
  /** @param {Failure} failure */
  constructor({ kind, message, retryable }) {
    super(message);
    this.kind = kind;
    this.retryable = retryable;
  }
}

/**
 * The message of an error, for people.
 *
 * @param {unknown} error
 */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Wait for a call. If it fails, its error is shown, and the result is undefined.
 *
 * @template T
 * @param {Promise<T>} call
 * @param {(message: string, error: unknown) => void} showError
 * @param {AbortSignal} [signal] once it is aborted, nothing is shown
 * @returns {Promise<T | undefined>}
 */
export async function attempt(call, showError, signal) {
  try {
    return await call;
  } catch (error) {
    if (!signal?.aborted) showError(messageOf(error), error);
    return undefined;
  }
}

const SILENCE = 15_000; // milliseconds after which a connection is lost: three heartbeats
const HIDDEN = 20_000; // milliseconds after which a hidden page ends its connections, until it is shown again
const LIMIT = 120_000; // milliseconds for an action: longer than the calls of the library that it makes, with their retries
const WAIT = 1_000; // milliseconds after which the page says that it waits for a connection
const FIRST_DELAY = 500;
const LAST_DELAY = 5_000;

export class Api {
  /** @type {Set<object>} streams without a connection */
  #lost = new Set();
  /** Whether the session has ended. A link that is opened in another window begins a new one for this window too. */
  #ended = false;
  #onConnection;

  /** @param {(connection: Connection, message: string) => void} onConnection called when the state of the connection changes */
  constructor(onConnection) {
    this.#onConnection = onConnection;
  }

  /**
   * Call an action. Without a complete response, it ends with an error, also if the connection is lost without a word.
   *
   * @param {string} name
   * @param {Arguments} [args]
   * @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  async call(name, args = {}, signal) {
    const limit = AbortSignal.timeout(LIMIT);
    try {
      return await (await this.#post(`/console/api/${name}`, args, signal ? AbortSignal.any([signal, limit]) : limit)).json();
    } catch (error) {
      if (error instanceof ApiError || signal?.aborted) throw error;
      const what = limit.aborted ? `did not respond within ${LIMIT / 1000} seconds` : "sent no complete response";
      const message = `The console ${what}. If this was a change, it may have been applied; check before you try again.`;
      throw new ApiError({ kind: "Unreachable", message, retryable: true });
    }
  }

  /**
   * Follow a stream. All values that arrive within one frame are one batch. After a lost connection, it connects again.
   *
   * @param {string} name
   * @param {Arguments | (() => Arguments)} args a function is called for each connection, to continue where the last ended
   * @param {(values: any[]) => void} onBatch
   * @param {AbortSignal} signal ends the stream
   * @returns {Promise<void>} resolves at the end; rejects with an ApiError that another connection would not solve
   */
  async stream(name, args, onBatch, signal) {
    const stream = {};
    const batches = collected((/** @type {any[]} */ values) => signal.aborted || onBatch(values));
    let delay = FIRST_DELAY;
    try {
      while (!signal.aborted) {
        while (document.hidden && !signal.aborted) await event(document, "visibilitychange", signal);
        if (signal.aborted) return;
        const connection = connectionOf(signal);
        const giveBack = await this.#takeConnection(stream, connection.signal);
        const began = performance.now();
        try {
          for await (const line of this.#lines(name, typeof args === "function" ? args() : args, connection)) {
            if (line.error) throw new ApiError(line.error);
            if (line.end) return;
            if (!("value" in line)) continue; // a heartbeat is that of the console: the API may be away
            this.#setLost(stream, "");
            batches.add(line.value);
          }
          this.#setLost(stream, "The connection was closed.");
        } catch (error) {
          if (error instanceof ApiError && !error.retryable) throw error;
          if (document.hidden || signal.aborted) continue;
          this.#setLost(stream, error instanceof ApiError ? error.message : "The connection was lost.");
        } finally {
          connection.abort();
          giveBack();
          batches.flush(); // before the caller learns of the end, or of another connection: a hidden page has no frames
        }
        // A stream may fail after its first values, each time.
        if (performance.now() - began > LAST_DELAY) delay = FIRST_DELAY;
        await event(AbortSignal.timeout(delay * (0.75 + Math.random() / 2)), "abort", signal);
        delay = Math.min(delay * 2, LAST_DELAY);
      }
    } finally {
      this.#setLost(stream, "");
    }
  }

  /**
   * Wait for a connection, and say so if that takes long.
   *
   * @param {object} stream
   * @param {AbortSignal} signal
   */
  async #takeConnection(stream, signal) {
    const message = "Other windows of the console use all connections of the browser. Close or hide one.";
    const timer = setTimeout(() => (requests.postMessage(null), this.#setLost(stream, message)), WAIT);
    try {
      return await takeConnection(signal);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * @param {string} name
   * @param {Arguments} args
   * @param {AbortController} connection
   * @returns {AsyncGenerator<any>} the content of each line
   */
  async *#lines(name, args, connection) {
    let timer = setTimeout(() => connection.abort(), SILENCE);
    try {
      const { body } = await this.#post(`/console/stream/${name}`, args, connection.signal);
      const reader = /** @type {ReadableStream<Uint8Array>} */ (body).getReader();
      const decoder = new TextDecoder();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(() => connection.abort(), SILENCE);
        const lines = (rest + decoder.decode(value, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) yield JSON.parse(line);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * @param {string} path
   * @param {Arguments} args
   * @param {AbortSignal} [signal]
   */
  async #post(path, args, signal) {
    const token = sessionToken();
    const headers = { "Content-Type": "application/json", "X-Console-Token": token };
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(args), signal }).catch((error) => {
      if (signal?.aborted) throw error;
      const message = "The console does not respond. Is the command that serves it still running?";
      throw new ApiError({ kind: "Unreachable", message, retryable: true });
    });
    learnTime(response);
    if (response.ok) {
      if (this.#ended) this.#onConnection("connected", "");
      this.#ended = false;
      return response;
    }
    const { status } = response;
    const { error } = await response.json().catch(() => ({}));
    if (error?.kind === "NoSession") {
      this.#ended = true;
      forgetSession(token);
      this.#onConnection("ended", error.message);
    }
    throw new ApiError(error ?? { kind: "HTTP", message: `HTTP status ${status}`, retryable: status >= 500 });
  }

  /**
   * @param {object} stream
   * @param {string} reason "" if it is connected, or has ended
   */
  #setLost(stream, reason) {
    const before = this.#lost.size;
    if (reason) this.#lost.add(stream);
    else this.#lost.delete(stream);
    if (reason) this.#onConnection("reconnecting", reason);
    else if (before && !this.#lost.size && !this.#ended) this.#onConnection("connected", "");
  }
}

/**
 * Return a controller that is aborted with a signal, and when the page has been hidden for a while or another one needs a
 * connection.
 *
 * A browser has few connections to one server, and the hidden pages of the console would use them up.
 *
 * @param {AbortSignal} signal
 */
function connectionOf(signal) {
  const connection = new AbortController();
  const { signal: ended } = connection;
  let timer = 0;
  const hideOrShow = () => {
    clearTimeout(timer);
    if (document.hidden) timer = window.setTimeout(() => connection.abort(), HIDDEN);
  };
  document.addEventListener("visibilitychange", hideOrShow, { signal: ended });
  requests.addEventListener("message", () => document.hidden && connection.abort(), { signal: ended });
  signal.addEventListener("abort", () => connection.abort(), { signal: ended });
  ended.addEventListener("abort", () => clearTimeout(timer));
  hideOrShow();
  return connection;
}

/**
 * Wait for an event, until the signal is aborted.
 *
 * @param {EventTarget} target
 * @param {string} name
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
function event(target, name, signal) {
  return new Promise((resolve) => {
    const waiting = new AbortController(); // removes both listeners
    const finish = () => (waiting.abort(), resolve());
    target.addEventListener(name, finish, { signal: waiting.signal });
    signal.addEventListener("abort", finish, { signal: waiting.signal });
  });
}
