// The tab of the playground: one request to the endpoint, which Python sends, and its response as text.

import { attempt } from "../api.js";
import { codeBlock, copyButton } from "../copy.js";
import { element, replace, setText } from "../dom.js";
import { indented } from "./json.js";
import { duration, size } from "./words.js";

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
const PAUSE = 300; // milliseconds without typing, before the code is written again

/** The last request of each deployment, so that it remains when another tab is shown. @type {Map<string, Draft>} */
const drafts = new Map();

/** @typedef {{method: string, path: string, headers: string, login: string, body: string}} Draft */

/** @type {import("./types.js").Tab} */
export function mountPlayground(parent, page, signal, bind) {
  const { id, endpointUrl } = page.status;
  const draft = { method: "GET", path: "/", headers: "", login: "", body: "", ...drafts.get(id) };
  for (const name of /** @type {const} */ (["method", "path"])) draft[name] = page.parameter(name) || draft[name];

  const method = element("select", { "aria-label": "Method" }, ...METHODS.map((name) => element("option", { selected: name === draft.method }, name)));
  const path = element("input", { class: "mono", "aria-label": "Path", value: draft.path, spellcheck: false, autocomplete: "off" });
  const headers = element("textarea", { class: "mono", rows: 2, value: draft.headers, spellcheck: false, placeholder: "Name: value" });
  const login = element("input", { value: draft.login, autocomplete: "off", spellcheck: false, placeholder: "user:password, if it is protected" });
  const body = element("textarea", { class: "mono", rows: 5, value: draft.body, spellcheck: false });
  const button = element("button", { class: "primary", title: "Ctrl+Enter" }, "Send");
  const failure = element("p", { class: "error", role: "alert" });
  const response = element("section", { class: "response", "aria-label": "Response", "aria-live": "polite" },
    element("p", { class: "muted" }, "The response will be here."));
  const code = element("div", { class: "columns" });
  const form = element("form", { class: "request", onsubmit: submit, oninput: edit },
    element("p", { class: "mono muted endpoint" }, endpointUrl), element("div", { class: "request-line" }, method, path, button), failure,
    element("label", {}, "Headers", headers), element("label", {}, "Login", login), element("label", {}, "Body", body));
  parent.append(element("div", { class: "columns" }, form, response), code);

  /** @type {AbortController | null} */
  let sending = null;
  let timer = 0;
  let version = 0; // of the code: an earlier one may arrive later
  bind("Ctrl+Enter", "Send the request", () => form.requestSubmit());
  bind("Escape", "Cancel the request, or leave the page", () => (sending ? sending.abort() : page.leave()));
  signal.addEventListener("abort", () => (clearTimeout(timer), sending?.abort()));
  void showCode();
  return () => {};

  /** @returns {Draft} */
  function request() {
    return { method: method.value, path: path.value, headers: headers.value, login: login.value, body: body.value };
  }

  function edit() {
    drafts.set(id, request());
    page.remember({ method: method.value === "GET" ? "" : method.value, path: path.value === "/" ? "" : path.value });
    clearTimeout(timer);
    timer = window.setTimeout(showCode, PAUSE);
  }

  async function showCode() {
    const asked = ++version;
    const found = await attempt(page.call("request-code", request(), signal), (message) => asked === version && fail(message), signal);
    if (asked !== version) return;
    replace(code);
    if (!found) return;
    fail("");
    code.append(codeBlock("The same with curl", found.curl), codeBlock("The same in Python", found.python));
  }

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    if (sending) return;
    sending = new AbortController();
    setText(button, "Sending");
    fail("");
    const received = await attempt(page.call("send-request", request(), sending.signal), fail, sending.signal);
    sending = null;
    setText(button, "Send");
    if (received) showResponse(response, received);
  }

  /** @param {string} message */
  function fail(message) {
    setText(failure, message);
  }
}

/**
 * @param {HTMLElement} target
 * @param {{status: number, reason: string, headers: [string, string][], body: string | null, size: number, truncated: boolean,
 *   seconds: number, failure?: string}} response
 */
function showResponse(target, { status, reason, headers, body, size: bytes, truncated, seconds, failure }) {
  if (failure) {
    replace(target, element("p", { class: "error" }, `No response: ${failure}`), element("p", { class: "muted" }, `After ${duration(seconds)}.`));
    return;
  }
  const line = element("p", { class: "response-line" }, element("strong", { "data-class": String(Math.floor(status / 100)) }, `${status} ${reason ?? ""}`),
    ` · ${duration(seconds)} · ${size(bytes)}${truncated ? ", the rest was not read" : ""}`);
  const list = element("dl", {}, ...headers.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
  const details = element("details", {}, element("summary", {}, `Headers (${headers.length})`), list);
  const note = status === 401 ? element("p", { class: "muted" }, "The endpoint is protected: fill in the login.") : null;
  if (!body) {
    replace(target, line, details, note, element("p", { class: "muted" }, body === null ? "The body is binary." : "The body is empty."));
    return;
  }
  const text = indented(body);
  const shown = element("pre", { tabIndex: 0, "aria-label": "Body" }, text);
  const raw = element("input", { type: "checkbox", onchange: () => setText(shown, raw.checked ? body : text) });
  const toggle = text === body ? null : element("label", { class: "check" }, raw, "As it was sent");
  replace(target, line, details, note, element("div", { class: "bar" }, copyButton(() => shown.textContent ?? ""), toggle), shown);
}
