// The list of deployments, as they change.

import { addressOf, listAddress } from "./address.js";
import { attempt } from "./api.js";
import { element, replace, setText } from "./dom.js";
import { every, inNextFrame } from "./frames.js";
import { setState, stateBadge } from "./format.js";
import { COLUMNS, STATES, selectRows } from "./table.js";
import { WindowedList } from "./windowed.js";

/** @typedef {import("./table.js").Row} Row */

// What the list shows is kept while other pages are open, so that it is there at once, and where it was.
/** @type {Map<string, Row>} */
const rows = new Map();
let complete = false;
let scrolled = 0;
/** @type {string | null} the id of the row that the arrow keys move */
let current = null;

/**
 * @param {HTMLElement} target
 * @param {import("./app.js").Context} context
 */
export function mount(target, context) {
  const { parameters } = context.address;
  const view = { filter: parameters.get("filter") ?? "", state: parameters.get("state") ?? "", sort: parameters.get("sort") ?? "age" };
  const inAddress = () => ({ ...view, sort: view.sort === "age" ? "" : view.sort });
  /** @type {Set<string>} */
  let unseen = new Set();

  const filter = element("input", { type: "search", placeholder: "Filter", "aria-label": "Filter", value: view.filter, spellcheck: false });
  const chips = element("div", { class: "chips", role: "group", "aria-label": "State" });
  const summary = element("p", { class: "summary", role: "status" });
  const head = element("div", { class: "row head", role: "row" });
  const body = element("div", { role: "rowgroup" });
  const table = element("div", { class: "table", role: "table", "aria-label": "Deployments" }, element("div", { class: "sticky", role: "rowgroup" }, head), body);
  const empty = element("div", { class: "empty" });
  const scroller = element("div", { class: "scroller" }, table, empty);
  const create = element("a", { class: "button primary", href: "#/new" }, "New deployment");
  target.append(element("div", { class: "list" }, element("div", { class: "bar" }, element("h1", {}, "Deployments"), summary, filter, chips, create), scroller));

  const chipButtons = new Map(STATES.map((state) => [state, chip(state)]));
  const headButtons = new Map(COLUMNS.map((column) => [column.name, headCell(column)]));
  const list = new WindowedList({
    scroller, body, create: createRow, signal: context.signal,
    rowHeight: () => parseFloat(getComputedStyle(table).getPropertyValue("--row")),
    key: (/** @type {Row} */ row) => row.id,
    fill: (element, row, index) => fillRow(element, row, index, row.id === current || (current === null && index === 0)),
  });
  const update = inNextFrame(show);

  context.title("Deployments");
  filter.addEventListener("input", () => change({ filter: filter.value }));
  filter.addEventListener("keydown", (event) => event.key === "Enter" && move(0));
  body.addEventListener("click", open);
  body.addEventListener("focusin", (event) => (current = keyOf(event.target) ?? current));
  bindKeys();
  every(5000, list.draw, context.signal); // ages grow
  void attempt(context.api.stream("deployments", {}, receive, context.signal), fail, context.signal);
  show();
  list.scrollTo(scrolled);
  return () => {
    scrolled = scroller.scrollTop;
    listAddress.current = addressOf(["deployments"], inAddress());
  };

  /** @param {{first: boolean, rows: Row[], removed: string[], complete: boolean}[]} batch */
  function receive(batch) {
    for (const changes of batch) {
      if (changes.first) unseen = new Set(rows.keys()); // a new connection does not say what was deleted before it
      for (const row of changes.rows) {
        rows.set(row.id, row);
        unseen.delete(row.id);
      }
      for (const id of changes.complete ? [...changes.removed, ...unseen] : changes.removed) rows.delete(id);
      if (changes.complete) unseen.clear();
      complete ||= changes.complete;
    }
    update();
  }

  function show() {
    const selected = selectRows(rows.values(), view);
    if (!selected.some(({ id }) => id === current)) current = null; // it was deleted, or the filter hides it
    list.items = selected;
    list.draw();
    table.setAttribute("aria-rowcount", String(selected.length + 1));
    const all = `${rows.size.toLocaleString()}${complete ? "" : "+"}`;
    setText(summary, complete || rows.size ? (selected.length === rows.size ? all : `${selected.length.toLocaleString()} of ${all}`) : "");
    for (const [state, button] of chipButtons) {
      const count = [...rows.values()].filter((row) => row.state === state).length;
      setText(/** @type {Element} */ (button.lastElementChild), count.toLocaleString());
      button.setAttribute("aria-pressed", String(view.state === state));
    }
    for (const [name, cell] of headButtons) {
      const sorted = view.sort.replace("-", "") === name;
      cell.setAttribute("aria-sort", sorted ? (view.sort.startsWith("-") ? "descending" : "ascending") : "none");
    }
    table.hidden = selected.length === 0;
    empty.hidden = selected.length > 0;
    if (!selected.length) showEmpty();
  }

  function showEmpty() {
    if (rows.size) replace(empty, element("p", {}, "No deployment matches the filter."), element("button", { type: "button", onclick: clear }, "Clear the filter"));
    else if (complete) replace(empty, element("p", {}, "There are no deployments yet."), element("a", { class: "button", href: "#/new" }, "Create one"));
    else replace(empty, element("p", {}, "Loading"));
  }

  /** @param {string} message */
  function fail(message) {
    replace(scroller, element("div", { class: "empty" }, element("p", { class: "error", role: "alert" }, message)));
  }

  /** @param {Partial<typeof view>} changed */
  function change(changed) {
    Object.assign(view, changed);
    context.remember(["deployments"], inAddress());
    scroller.scrollTop = 0;
    update();
  }

  function clear() {
    filter.value = "";
    change({ filter: "", state: "" });
  }

  /** @param {typeof STATES[number]} state */
  function chip(state) {
    const toggle = () => change({ state: view.state === state ? "" : state });
    const button = element("button", { type: "button", class: "chip", onclick: toggle }, stateBadge(state), element("b", {}, "0"));
    chips.append(button);
    return button;
  }

  /** @param {import("./table.js").Column} column */
  function headCell({ name, title }) {
    const sort = () => change({ sort: view.sort === name ? `-${name}` : name });
    const cell = element("div", { role: "columnheader", class: `cell ${name}` }, element("button", { type: "button", onclick: sort }, title));
    head.append(cell);
    return cell;
  }

  /**
   * Open the deployment of a row that was clicked, unless text in it was selected.
   *
   * @param {MouseEvent} event
   */
  function open(event) {
    const id = keyOf(event.target);
    const onLink = event.target instanceof Element && event.target.closest("a");
    if (id && !onLink && !getSelection()?.toString()) context.navigate(addressOf(["deployments", id]));
  }

  /**
   * Move the focus by rows. 0: to the current row, or to the first.
   *
   * @param {number} rowCount
   */
  function move(rowCount) {
    const { items } = list;
    if (!items.length) return;
    const before = items.findIndex(({ id }) => id === current);
    const index = Math.min(Math.max((before < 0 && rowCount > 0 ? -1 : Math.max(before, 0)) + rowCount, 0), items.length - 1);
    current = items[index].id;
    list.reveal(index);
    /** @type {HTMLElement | null} */ (body.querySelector(`[data-key="${current}"] a`))?.focus({ preventScroll: true });
  }

  function bindKeys() {
    const page = () => Math.max(1, Math.floor(scroller.clientHeight / list.rowHeight) - 2);
    context.bind("/", "Filter", () => filter.select());
    context.bind("ArrowDown", "Next deployment", () => move(1));
    context.bind("ArrowUp", "Previous deployment", () => move(-1));
    context.bind("PageDown", "", () => move(page()));
    context.bind("PageUp", "", () => move(-page()));
    context.bind("Home", "First deployment", () => move(-list.items.length));
    context.bind("End", "Last deployment", () => move(list.items.length));
    context.bind("Escape", "Clear the filter", () => {
      if (view.filter || view.state) clear();
      if (document.activeElement === filter) filter.blur();
    });
    context.bind("n", "New deployment", () => context.navigate("#/new"));
    context.bind("e", "Edit the deployment", () => current && context.navigate(addressOf(["deployments", current, "edit"])));
  }
}

/** @returns {HTMLElement} */
function createRow() {
  const row = element("div", { class: "row", role: "row" });
  for (const { name } of COLUMNS) {
    const cell = element("div", { class: `cell ${name}`, role: name === "name" ? "rowheader" : "cell" });
    if (name === "name") cell.append(element("a", {}));
    if (name === "endpoint") cell.append(element("a", { target: "_blank", rel: "noopener noreferrer", tabIndex: -1 }));
    if (name === "state") cell.append(stateBadge("pending"));
    row.append(cell);
  }
  return row;
}

/**
 * @param {HTMLElement} element
 * @param {Row} row
 * @param {number} index
 * @param {boolean} reachable whether the Tab key reaches it: one row of the list, the arrow keys reach the others
 */
function fillRow(element, row, index, reachable) {
  element.setAttribute("aria-rowindex", String(index + 2));
  /** @type {Record<string, string>} */
  const titles = { state: row.error ?? "", age: row.dtCreated, endpoint: row.endpointUrl };
  COLUMNS.forEach((column, number) => {
    const cell = /** @type {HTMLElement} */ (element.children[number]);
    const text = column.text(row);
    const inner = /** @type {HTMLElement | null} */ (cell.firstElementChild);
    if (column.name === "state" && inner) setState(inner, row.state);
    else setText(inner ?? cell, text);
    cell.title = titles[column.name] ?? text;
  });
  const [name, endpoint] = element.querySelectorAll("a");
  name.href = addressOf(["deployments", row.id]);
  name.tabIndex = reachable ? 0 : -1;
  if (/^https?:\/\//.test(row.endpointUrl)) endpoint.href = row.endpointUrl;
  else endpoint.removeAttribute("href");
}

/**
 * @param {EventTarget | null} target
 * @returns {string | undefined} the id of the row that the target is in
 */
function keyOf(target) {
  const row = target instanceof Element ? target.closest("[data-key]") : null;
  return row instanceof HTMLElement ? row.dataset.key : undefined;
}
