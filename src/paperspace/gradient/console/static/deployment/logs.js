// The tab of the logs: lines as they are written, of any number, of which the visible ones are in the document.

import { attempt } from "../api.js";
import { copyButton } from "../copy.js";
import { element, replace, setText } from "../dom.js";
import { every } from "../frames.js";
import { WindowedList } from "../windowed.js";
import { download } from "./download.js";
import { LogLines } from "./log-lines.js";
import { count } from "./words.js";

/** @typedef {import("./log-lines.js").Line} Line */

const ROW = 20; // pixels, as in the style sheet
const LIMIT = 50_000; // lines that are kept
const FIRST = 2_000; // lines that are loaded at first
const SUMMARY = 5_000; // milliseconds between two summaries for screen readers

/** @type {import("./types.js").Tab} */
export function mountLogs(parent, page, signal, bind) {
  const search = element("input", { type: "search", placeholder: "Search", "aria-label": "Search the log", value: page.parameter("search"), oninput: filter });
  const instance = element("select", { "aria-label": "Replica", onchange: () => (select(null), page.remember({ instance: instance.value }), open()) });
  const pause = element("button", { type: "button", title: "Key: f", onclick: () => follow(!following) });
  const earlier = element("button", { type: "button", hidden: true, onclick: () => ((tail = LIMIT), open()) }, "Load earlier lines");
  const save = element("button", { type: "button", onclick: () => download(page, instance.value, save, signal) }, "Download");
  const note = element("p", { class: "muted log-note" });
  const summary = element("p", { class: "hidden-text", "aria-live": "polite" });
  const body = element("div");
  const scroller = element("div", { class: "log", role: "log", "aria-live": "off", "aria-label": "Log", tabIndex: 0 }, body);
  const more = element("button", { type: "button", class: "primary log-more", hidden: true, onclick: () => follow(true) });
  const detail = element("aside", { class: "log-detail", "aria-label": "Selected line", hidden: true });
  parent.append(element("div", { class: "bar" }, search, instance, pause, earlier, save, note),
    element("div", { class: "log-frame" }, scroller, more), detail, summary);

  const list = new WindowedList({
    scroller, body, rowHeight: () => ROW, create: () => createRow(choose), fill, signal,
    key: (/** @type {Line} */ line) => `${line.number || `before ${line.next}`} ${line.instance} ${line.time}`,
  });
  let lines = new LogLines(LIMIT);
  let following = !page.parameter("line");
  let unseen = 0; // lines since it does not follow
  let unsaid = 0; // lines since the last summary
  let lastTop = 0;
  let tail = page.parameter("line") ? LIMIT : FIRST; // how many lines were asked for
  let ended = false;
  let failure = "";
  let connection = new AbortController();

  scroller.addEventListener("scroll", onScroll, { passive: true });
  const resized = new ResizeObserver(() => following && draw());
  resized.observe(scroller);
  every(SUMMARY, summarize, signal);
  signal.addEventListener("abort", () => (resized.disconnect(), connection.abort()));
  bind("/", "Search the log", () => search.focus());
  bind("f", "Follow the log, or pause", () => follow(!following));
  bind("ArrowDown", "Select the next line of the log", () => move(1));
  bind("ArrowUp", "Select the line before", () => move(-1));
  bind("Escape", "End the search, close the line, or leave the page", () => (search.value ? ((search.value = ""), filter()) : detail.hidden ? page.leave() : select(null)));
  open();
  return () => {
    addInstances();
    if (ended && page.status.state !== "stopped") connect();
  };

  /** Load the last lines, and follow the log. */
  function open() {
    lines = new LogLines(LIMIT);
    lines.filter(search.value);
    unseen = 0;
    earlier.hidden = true;
    addInstances();
    draw();
    connect();
  }

  async function connect() {
    connection.abort();
    const current = (connection = new AbortController());
    ended = false;
    const args = () => {
      const { since } = lines;
      return { instance: page.parameter("instance") || null, tail: since ? LIMIT : tail, since, follow: true };
    };
    await attempt(page.stream("logs", args, add, current.signal), (message) => void (failure = message), current.signal);
    if (current.signal.aborted) return;
    ended = true;
    draw();
    setText(summary, noteText());
  }

  /** @param {{lines: [string, number, string, string][]}[]} batches */
  function add(batches) {
    const dropped = lines.dropped;
    const added = lines.add(batches.flatMap((batch) => batch.lines));
    unsaid += added;
    if (!following) {
      unseen += added;
      if (lines.dropped > dropped) scroller.scrollTop -= (lines.dropped - dropped) * ROW;
    }
    failure = "";
    earlier.hidden = lines.all.length < tail || tail === LIMIT;
    addInstances();
    draw();
    const line = detail.hidden && page.parameter("line") ? selected() : null;
    if (line) select(line);
  }

  function draw() {
    list.items = lines.shown;
    body.style.height = `${lines.shown.length * ROW}px`;
    if (following) list.reveal(Math.max(0, lines.shown.length - 1));
    else list.draw();
    lastTop = scroller.scrollTop;
    setText(pause, following ? "Pause" : "Follow");
    more.hidden = following || !unseen;
    setText(more, `Follow, ${count(unseen, "new line")}`);
    setText(note, noteText());
  }

  function noteText() {
    if (failure) return failure;
    if (page.parameter("line") && lines.all.length && !selected()) return "The line of this address is not among the loaded ones.";
    if (!lines.all.length) return ended ? "No lines. The deployment is stopped." : "No lines yet.";
    const total = count(lines.all.length, "line");
    const found = lines.search ? `${lines.shown.length.toLocaleString("en")} of ${total}` : total;
    return ended ? `${found}. The log has ended, because the deployment is stopped.` : found;
  }

  function addInstances() {
    const chosen = page.parameter("instance");
    const known = new Set([...instance.options].map(({ value }) => value));
    const names = new Set(["", chosen, ...page.status.instances.map(({ name }) => name ?? ""), ...lines.instances.keys()]);
    const added = [...names].filter((name) => !known.has(name));
    instance.append(...added.map((name) => element("option", { value: name, selected: name === chosen }, name || "All replicas")));
  }

  /** @param {boolean} on */
  function follow(on) {
    following = on;
    unseen = 0;
    draw();
  }

  function onScroll() {
    const { scrollTop, clientHeight, scrollHeight } = scroller;
    if (following && scrollTop < lastTop) follow(false);
    else if (!following && scrollTop > lastTop && scrollTop + clientHeight >= scrollHeight - 1) follow(true);
    lastTop = scrollTop;
  }

  function filter() {
    page.remember({ search: search.value });
    const line = selected();
    lines.filter(search.value);
    unseen = 0;
    draw();
    if (line && !following) list.reveal(lines.shown.indexOf(line));
  }

  /** @returns {Line | null} the line of the address */
  function selected() {
    const [number, name] = page.parameter("line").split(/ (.*)/);
    return lines.all.find((line) => line.number === Number(number) && line.instance === name) ?? null;
  }

  /** @param {Line | null} line */
  function select(line) {
    page.remember({ line: line ? `${line.number} ${line.instance}` : "" });
    detail.hidden = !line;
    if (line) {
      follow(false);
      const facts = `Line ${line.number} of ${line.instance}, ${new Date(line.time).toISOString()}`;
      replace(detail, element("header", {}, element("span", { class: "muted" }, facts),
        copyButton(() => line.text, "Copy line"), copyButton(() => location.href, "Copy link")), element("pre", { tabIndex: 0 }, line.text));
      list.reveal(lines.shown.indexOf(line));
    }
    list.draw();
  }

  /** @param {HTMLElement} row */
  function choose(row) {
    const line = drawn.get(row)?.line;
    if (line?.number && getSelection()?.isCollapsed !== false) select(line);
  }

  /** @param {number} step */
  function move(step) {
    const line = selected();
    const index = line ? lines.shown.indexOf(line) + step : lines.shown.length - 1;
    const next = lines.shown[index];
    if (next?.number) select(next);
  }

  function summarize() {
    const last = lines.all.at(-1);
    if (unsaid && following && last) setText(summary, `${count(unsaid, "new line")}. ${last.text}`);
    unsaid = 0;
  }

  /**
   * @param {HTMLElement} row
   * @param {Line} line
   */
  function fill(row, line) {
    const before = drawn.get(row);
    row.ariaCurrent = page.parameter("line") === `${line.number} ${line.instance}` ? "true" : null;
    if (before?.line === line && before.search === lines.search) return;
    drawn.set(row, { line, search: lines.search });
    row.classList.toggle("is-remark", !line.number);
    const [time, name, text] = row.children;
    setText(time, line.number ? timeOf(line.time) : "");
    setText(name, line.number ? line.instance : "");
    if (lines.search) replace(text, ...highlighted(line.text, lines.search));
    else setText(text, line.text);
  }
}

/** @type {WeakMap<HTMLElement, {line: Line, search: string}>} what the rows show */
const drawn = new WeakMap();

/** @param {(row: HTMLElement) => void} choose */
function createRow(choose) {
  const row = element("div", { class: "log-line" }, element("time"), element("span", { class: "log-instance" }), element("span", { class: "log-text" }));
  row.addEventListener("click", () => choose(row));
  return row;
}

/** @param {number} time */
function timeOf(time) {
  const date = new Date(time);
  return `${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/**
 * A text, with each occurrence of what was searched in an element of its own.
 *
 * @param {string} text
 * @param {string} search in lower case
 */
function highlighted(text, search) {
  const parts = [];
  const lower = text.toLowerCase();
  let end = 0;
  for (let start = lower.indexOf(search); start >= 0 && parts.length < 100; start = lower.indexOf(search, end)) {
    parts.push(text.slice(end, start), element("mark", {}, text.slice(start, start + search.length)));
    end = start + search.length;
  }
  return [...parts, text.slice(end)];
}
