// The tab of the revisions: what each has changed, and what a rollback to it would change.

import { attempt } from "../api.js";
import { confirmAction } from "../dialog.js";
import { differenceTable } from "../difference.js";
import { element, linkInPlace, replace, setText } from "../dom.js";
import { age, dateTime } from "../format.js";
import { keyedChildren } from "../keyed.js";

/** @typedef {import("./types.js").Revision} Revision */

/** @type {import("./types.js").Tab} */
export function mountRevisions(parent, page, signal, bind) {
  const list = element("ol", { class: "revisions", "aria-label": "Revisions" });
  const heading = element("h2");
  const facts = element("p", { class: "muted" });
  const changes = element("div");
  const rollbackHeading = element("h3", {}, "A rollback to this revision would change");
  const rollbackChanges = element("div");
  const button = element("button", { type: "button", onclick: rollBack });
  const rollback = element("section", {}, rollbackHeading, rollbackChanges, button);
  parent.append(element("div", { class: "master" }, list,
    element("article", { "aria-live": "polite" }, heading, facts, changes, rollback)));

  const show = keyedChildren(list, (/** @type {Revision} */ revision) => revision.id, createItem, fillItem);
  let shown = "";
  bind("ArrowDown", "Select the next revision", () => move(1));
  bind("ArrowUp", "Select the revision before", () => move(-1));
  bind("b", "Roll back to the selected revision", () => rollback.hidden || button.click());
  update();
  return update;

  function selected() {
    const number = Number(page.parameter("revision"));
    return page.revisions.find((revision) => revision.number === number) ?? page.revisions[0];
  }

  /** @param {number} number */
  function select(number) {
    page.remember({ revision: String(number) });
    update();
  }

  /** @param {number} step */
  function move(step) {
    const next = page.revisions[page.revisions.indexOf(selected()) + step];
    if (!next) return;
    select(next.number);
    /** @type {HTMLElement | null} */ (list.querySelector("a[aria-current]"))?.focus();
  }

  function update() {
    show(page.revisions);
    const revision = selected();
    const key = `${revision?.id} ${page.status.specId}`;
    if (!revision || key === shown) return;
    shown = key;
    void draw(revision);
  }

  /** @param {Revision} revision */
  async function draw(revision) {
    const isNewest = revision.id === page.status.specId;
    setText(heading, `Revision ${revision.number}`);
    setText(facts, `Created ${dateTime(revision.dtCreated)}${revision.actor ? ` by ${revision.actor}` : ""}. Image ${revision.image}.`);
    replace(changes, differenceTable(revision.changes, { before: revision.number === 1 ? "Before" : `Revision ${revision.number - 1}`, after: `Revision ${revision.number}` }));
    setText(button, `Roll back to revision ${revision.number}`);
    rollback.hidden = isNewest;
    if (isNewest) return;
    const asked = shown;
    button.disabled = true;
    replace(rollbackChanges);
    const fail = (/** @type {string} */ message) => {
      if (shown !== asked) return;
      replace(rollbackChanges, element("p", { class: "error" }, message));
      shown = ""; // the next update tries again
    };
    const difference = await attempt(page.call("rollback-changes", { to: revision.id }, signal), fail, signal);
    if (!difference || shown !== asked) return; // another one is shown
    replace(rollbackChanges, differenceTable(difference, { before: "Now", after: `Revision ${revision.number}` }));
    button.disabled = !difference.length;
  }

  function rollBack() {
    const revision = selected();
    confirmAction({
      title: `Roll back to revision ${revision.number}`, verb: "Roll back", announce: page.announce,
      text: "Its spec is applied again, as a new revision. The present one stays in the list.",
      action: async () => {
        await page.call("roll-back", { to: revision.id });
        page.remember({ revision: "" });
        page.announce(`Revision ${revision.number} is applied again.`);
      },
    });
  }

  /** @param {Revision} revision */
  function createItem({ number }) {
    const title = element("span", { class: "revision-title" });
    const what = element("span", { class: "revision-what" });
    const link = linkInPlace(page.address("revisions", { revision: String(number) }), () => select(number), title, what);
    return element("li", {}, link);
  }

  /**
   * @param {HTMLLIElement} item
   * @param {Revision} revision
   */
  function fillItem(item, revision) {
    const link = /** @type {HTMLElement} */ (item.firstElementChild);
    const [title, what] = link.children;
    const { serving, readyReplicas, specId } = page.status;
    const serves = revision.id === (serving ? serving.specId : readyReplicas ? specId : null);
    const facts = [revision.number, `${age(revision.dtCreated)} ago`, revision.actor, serves ? "serves" : null];
    setText(title, facts.filter(Boolean).join(" · "));
    setText(what, revision.summary);
    link.ariaCurrent = revision === selected() ? "true" : null;
  }
}
