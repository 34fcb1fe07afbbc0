// The tab of the events: what happened, when, why, and how often.

import { element, setText } from "../dom.js";
import { age, dateTime } from "../format.js";
import { keyedChildren } from "../keyed.js";

/** @typedef {import("./types.js").Event} Event */

/** @type {import("./types.js").Tab} */
export function mountEvents(parent, page, _signal, bind) {
  const search = element("input", {
    type: "search", placeholder: "Filter events", "aria-label": "Filter events", value: page.parameter("filter"),
    oninput: () => (page.remember({ filter: search.value }), update()),
  });
  const warnings = element("input", {
    type: "checkbox", checked: page.parameter("warnings") === "1",
    onchange: () => (page.remember({ warnings: warnings.checked ? "1" : "" }), update()),
  });
  const none = element("p", { class: "empty", role: "status" });
  const table = eventTable();
  const tools = element("div", { class: "bar" }, search, element("label", { class: "check" }, warnings, "Warnings only"));
  parent.append(tools, table.element, none);
  bind("/", "Filter the events", () => search.focus());
  update();
  return update;

  function update() {
    const text = search.value.toLowerCase();
    const shown = (page.events ?? []).filter((event) => (!warnings.checked || event.severity === "WARNING")
      && `${event.reason} ${event.instanceName ?? ""} ${event.message}`.toLowerCase().includes(text));
    table.show(shown);
    const empty = page.events?.length ? "No event matches." : "Nothing has happened yet.";
    setText(none, page.events === null ? "This server has no events." : shown.length ? "" : empty);
  }
}

/** Create a table of events. Those that it shows already keep their rows. */
export function eventTable() {
  const body = element("tbody");
  const show = keyedChildren(body, (/** @type {Event} */ event) => event.id, createRow, fillRow);
  const titles = ["Last seen", "Reason", "Count", "Replica", "Message"].map((title) => element("th", { scope: "col" }, title));
  const table = element("table", { class: "events" }, element("thead", {}, element("tr", {}, ...titles)), body);
  return {
    element: table,
    /** @param {Event[]} events */
    show(events) {
      table.hidden = !events.length;
      show(events);
    },
  };
}

function createRow() {
  const cells = ["number", "reason", "number", "mono", "message"].map((name) => element("td", { class: name }));
  return element("tr", {}, ...cells);
}

/**
 * @param {HTMLTableRowElement} row
 * @param {Event} event
 */
function fillRow(row, event) {
  const [last, reason, count, replica, message] = row.cells;
  row.dataset.severity = event.severity;
  setText(last, age(event.dtLast));
  last.title = dateTime(event.dtLast);
  setText(reason, `${event.severity === "WARNING" ? "▲ " : ""}${event.reason}`);
  setText(count, event.count > 1 ? `× ${event.count}` : "");
  setText(replica, event.instanceName ?? "");
  setText(message, event.message);
}
