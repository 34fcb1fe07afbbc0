// The tab that is shown first: the replicas, what happened last, and what the newest revision has changed.

import { differenceTable } from "../difference.js";
import { element, replace, setText } from "../dom.js";
import { every } from "../frames.js";
import { eventTable } from "./events.js";
import { mountTimeline } from "./timeline.js";

/** How many events are shown. */
const EVENTS = 6;

/** @type {import("./types.js").Tab} */
export function mountOverview(parent, page, signal) {
  const replicas = element("section", { "aria-labelledby": "replicas" }, element("h2", { id: "replicas" }, "Replicas"));
  const events = eventTable();
  const allEvents = element("a", { href: page.address("events") }, "All events");
  const heading = element("h2", { id: "newest" });
  const changes = element("div");
  const allRevisions = element("a", { href: page.address("revisions") }, "All revisions");
  parent.append(replicas,
    element("div", { class: "columns uneven" },
      element("section", { "aria-labelledby": "newest" }, element("header", {}, heading, allRevisions), changes),
      element("section", { "aria-labelledby": "latest" }, element("header", {}, element("h2", { id: "latest" }, "Latest events"), allEvents), events.element)));
  const drawTimeline = mountTimeline(replicas, page, signal);
  every(1000, drawTimeline, signal); // time passes
  let shown = "";
  update();
  return update;

  function update() {
    drawTimeline();
    events.show((page.events ?? []).slice(0, EVENTS));
    const [newest] = page.revisions;
    if (!newest || newest.id === shown) return;
    shown = newest.id;
    setText(heading, newest.number === 1 ? "The first revision" : `Changes in revision ${newest.number}`);
    replace(changes, differenceTable(newest.changes, { before: "Before", after: "Now" }));
  }
}
