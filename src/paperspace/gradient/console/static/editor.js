// Create a deployment, or edit one: the spec as text, what is wrong with it, and what it would change.

import { addressOf, listAddress } from "./address.js";
import { ApiError, attempt } from "./api.js";
import { codeBlock } from "./copy.js";
import { differenceTable } from "./difference.js";
import { element, failurePage, linkInPlace, replace, setText } from "./dom.js";
import { leaveField } from "./keys.js";
import { specArea } from "./spec_area.js";

/** @typedef {import("./spec_area.js").Problem} Problem */
/** @typedef {{name: string, projectId: string, text: string}} Draft */
/** @typedef {{action: string, id: string | null, specId: string | null}} Plan `id` and `specId` are what would be updated */

const PLAN_DELAY = 250; // milliseconds without a key until the server is asked what the text would change
const RETRY_DELAY = 2_000; // after an outage, until the text is checked again

const NEW = "image: nginx\nport: 80\nresources:\n  replicas: 1\n";

/** @type {Map<string, Draft>} texts that were not applied yet, by the address of their page */
const drafts = new Map();
addEventListener("beforeunload", (event) => drafts.size && event.preventDefault());

/**
 * @param {HTMLElement} target
 * @param {import("./app.js").Context} context
 */
export function mount(target, context) {
  const { path, parameters } = context.address;
  const id = path[0] === "deployments" ? path[1] : null;
  const draft = drafts.get(path.join("/"));
  context.title(id ? "Edit" : "New deployment");
  context.bind("Escape", "Leave the field, then the page", () => leaveField() || context.navigate(addressBefore(id)));
  if (draft) context.announce("This text was not applied yet. Cancel discards it.");
  if (draft) edit(target, context, id, draft);
  else if (!id) edit(target, context, id, { name: parameters.get("name") ?? "", projectId: parameters.get("project") ?? "", text: NEW });
  else void load();
  return () => {};

  async function load() {
    const fail = (/** @type {string} */ message) => replace(target, failurePage(message));
    const loaded = await attempt(context.api.call("get-text", { id }, context.signal), fail, context.signal);
    if (loaded) edit(target, context, id, loaded);
  }
}

const addressBefore = (/** @type {string | null} */ id) => (id ? addressOf(["deployments", id]) : listAddress.current);

/**
 * @param {HTMLElement} target
 * @param {import("./app.js").Context} context
 * @param {string | null} id
 * @param {Draft} draft
 */
function edit(target, context, id, draft) {
  const { api, signal } = context;
  const key = context.address.path.join("/");
  const name = element("input", { value: draft.name, autocomplete: "off", spellcheck: false, readOnly: id !== null, oninput: changed });
  const project = element("input", { value: draft.projectId ?? "", autocomplete: "off", spellcheck: false, readOnly: Boolean(id && draft.projectId), oninput: changed });
  const { area, input, mark, select } = specArea(draft.text, changed);
  const problems = element("div", { class: "problems", id: "problems", role: "status" });
  const plan = element("section", { class: "plan", "aria-label": "What would change" });
  const apply = element("button", { type: "submit", class: "primary", title: "Ctrl+Enter", disabled: true }, id ? "Apply" : "Create");
  const cancel = linkInPlace(addressBefore(id), () => (drafts.delete(key), context.navigate(addressBefore(id))), "Cancel");
  cancel.className = "button";
  const form = element("form", { class: "editor", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), void run()) },
    element("div", { class: "bar" }, element("h1", {}, id ? `Edit ${draft.name}` : "New deployment"), cancel, apply),
    element("div", { class: "source" }, element("div", { class: "fields" }, element("label", {}, "Name", name), element("label", {}, "Project", project)), area),
    element("div", { class: "outcome" }, problems, plan),
  );
  replace(target, form);
  context.bind("Ctrl+Enter", "Apply the spec", () => form.requestSubmit());

  /** @type {number | undefined} */
  let timer;
  let version = 0; // of the text; what is known about an earlier version is dropped
  let checking = false;
  let planning = new AbortController(); // ends a plan whose text has changed, so that the next one does not wait for it
  /** @type {Plan | null} what applying the text would do; null: it is not known, or not possible */
  let planned = null;
  void check();
  (id || draft.name ? input : name).focus();

  function changed() {
    version++;
    setPlanned(null);
    planning.abort();
    plan.classList.add("outdated");
    drafts.set(key, { name: name.value, projectId: project.value, text: input.value });
    clearTimeout(timer);
    void check();
  }

  /** Check the text. One check runs at a time; what was typed in the meantime is checked next. */
  async function check() {
    if (checking) return;
    checking = true;
    const checked = version;
    const found = await call("check-spec", { text: input.value });
    checking = false;
    if (checked !== version) return void check();
    if (!found) return;
    name.placeholder = found.name ?? "";
    project.placeholder = found.projectId ?? "";
    showProblems(found.problems);
    if (found.problems.length) return showPlan();
    if (!deployment().name || !deployment().projectId) return showPlan(element("p", { class: "hint" }, "Set a name and a project to see what would change."));
    clearTimeout(timer);
    timer = window.setTimeout(makePlan, PLAN_DELAY);
  }

  async function makePlan() {
    const checked = version;
    planning.abort();
    planning = new AbortController();
    const made = await call("plan", deployment(), AbortSignal.any([signal, planning.signal]));
    if (!made || checked !== version) return;
    setPlanned(made);
    const titles = { created: `Would create ${deployment().name}`, updated: `Would update ${deployment().name}`, unchanged: "Nothing would change" };
    showPlan(
      element("h2", {}, titles[/** @type {keyof typeof titles} */ (made.action)]),
      made.action === "unchanged" ? null : differenceTable(made.difference.changes, { before: "Now", after: "After" }),
      codeBlock("The same in a shell", made.command),
      codeBlock("The same in Python", made.python),
    );
  }

  async function run() {
    if (!planned) return context.announce("Nothing is applied until the page shows what the text would change.");
    if (planned.action === "unchanged") return;
    const sent = { ...deployment(), id: planned.id, specId: planned.specId };
    setPlanned(null);
    const given = drafts.get(key);
    const applied = await call("apply", sent);
    if (!applied) return void makePlan(); // so that it can be applied again
    context.announce(`${applied.action === "created" ? "Created" : "Updated"} ${sent.name}.`);
    if (given !== drafts.get(key)) return void check(); // what was typed in the meantime stays
    drafts.delete(key);
    context.navigate(addressOf(["deployments", applied.id]));
  }

  /** The text, with the name and the project of the fields or, where they are empty, of the text. */
  function deployment() {
    return { text: input.value, name: name.value || name.placeholder, projectId: project.value || project.placeholder };
  }

  /** @param {Plan | null} made */
  function setPlanned(made) {
    planned = made;
    apply.disabled = made === null || made.action === "unchanged";
    if (made) setText(apply, made.action === "created" ? "Create" : "Apply");
  }

  /** @param {...import("./dom.js").Child} children */
  function showPlan(...children) {
    plan.classList.remove("outdated");
    replace(plan, ...children);
  }

  /**
   * Call an action. If it fails, its error is shown, and the result is undefined. After an outage, the text is checked again.
   *
   * @param {string} name of an action
   * @param {object} args
   * @param {AbortSignal} [until] a change goes on when the page is left
   */
  function call(name, args, until = name === "apply" ? undefined : signal) {
    const fail = (/** @type {string} */ message, /** @type {unknown} */ error) => {
      if (signal.aborted) return context.announce(message);
      showProblems([{ line: 0, column: 0, message }]);
      if (name === "apply" || !(error instanceof ApiError && error.retryable)) return;
      clearTimeout(timer);
      timer = window.setTimeout(check, RETRY_DELAY);
    };
    return attempt(api.call(name, { ...args }, until), fail, until);
  }

  /** @param {Problem[]} found */
  function showProblems(found) {
    mark(found);
    const items = found.map((problem) => {
      const place = problem.line ? `${problem.line}:${problem.column || 1}` : "";
      const button = element("button", { type: "button", onclick: () => select(problem) }, element("b", {}, place), problem.message);
      return element("li", {}, problem.line ? button : problem.message);
    });
    replace(problems, items.length > 0 && element("ul", {}, ...items));
  }
}
