// The page of one deployment: its state, what can be done with it, and its tabs.

import { addressOf, listAddress, showAddress } from "./address.js";
import { attempt } from "./api.js";
import { copyButton } from "./copy.js";
import { isStopped, remove, restart, scale, stopOrStart } from "./deployment/actions.js";
import { mountEvents } from "./deployment/events.js";
import { mountLogs } from "./deployment/logs.js";
import { mountMetrics } from "./deployment/metrics.js";
import { mountOverview } from "./deployment/overview.js";
import { mountPlayground } from "./deployment/playground.js";
import { mountRevisions } from "./deployment/revisions.js";
import { element, failurePage, linkInPlace, replace, setText } from "./dom.js";
import { every } from "./frames.js";
import { age, dateTime, setState, stateBadge } from "./format.js";
import { leaveField } from "./keys.js";

/** @type {[string, string, import("./deployment/types.js").Tab][]} */
const TABS = [
  ["overview", "Overview", mountOverview],
  ["logs", "Logs", mountLogs],
  ["events", "Events", mountEvents],
  ["revisions", "Revisions", mountRevisions],
  ["metrics", "Metrics", mountMetrics],
  ["playground", "Playground", mountPlayground],
];

/**
 * @param {HTMLElement} target
 * @param {import("./app.js").Context} context
 */
export function mount(target, context) {
  const { api, signal } = context;
  const [, id, part] = context.address.path;
  let tab = part || "overview";
  let parameters = context.address.parameters;
  let leaveTab = new AbortController();
  let updateTab = () => {};
  let isShown = false;

  /** @type {import("./deployment/types.js").Page} */
  const page = {
    status: /** @type {any} */ (null), // until the first value of the stream
    sentence: "", reason: "", lanes: [], events: [], revisions: [],
    call: (name, args = {}, until) => api.call(name, { id, ...args }, until),
    stream: (name, args, onBatch, until) => api.stream(name, () => ({ id, ...args() }), onBatch, until),
    parameter: (name) => parameters.get(name) ?? "",
    remember(values) {
      for (const [name, value] of Object.entries(values)) parameters.set(name, value);
      context.remember(["deployments", id, tab], Object.fromEntries(parameters));
    },
    address: (name, values = {}) => addressOf(["deployments", id, name], values),
    announce: context.announce,
    leave: () => void (leaveField() || context.navigate(listAddress.current)),
  };

  const head = createHead(id, [
    ["s", "Scale", () => scale(page)],
    ["r", "Restart", () => restart(page)],
    ["x", "Stop or start", () => stopOrStart(page)],
    ["e", "Edit", () => context.navigate(addressOf(["deployments", id, "edit"]))],
    ["d", "Delete", () => remove(page)],
  ]);
  const tabs = element("nav", { class: "tabs", "aria-label": "Deployment" },
    ...TABS.map(([name, title]) => linkInPlace(page.address(name), () => goTo(name), title)));
  const body = element("div", { class: "tab" });
  const view = element("div", { class: "deployment-page" }, head.element, tabs, body);
  head.actions.forEach(({ key, label, run }) => context.bind(key, `${label} the deployment`, () => isShown && run()));
  TABS.forEach(([name, title], index) => context.bind(String(index + 1), title, () => isShown && goTo(name)));

  context.bind("Escape", "Leave the field, then the page", page.leave);

  every(5000, update, signal); // times say how long ago something was
  context.title("Deployment");
  void attempt(api.stream("deployment", { id }, receive, signal), showEnd, signal);
  return () => leaveTab.abort();

  /** @param {any[]} values */
  function receive(values) {
    const change = Object.assign({}, ...values);
    if (change.deleted) return showEnd(page.status ? `${page.status.name} is deleted.` : "No deployment has this id, or it is deleted.");
    Object.assign(page, change);
    context.title(page.status.name);
    if (isShown) return update();
    isShown = true;
    head.update(page);
    target.append(view);
    showTab();
  }

  function update() {
    if (!isShown) return;
    head.update(page);
    updateTab();
  }

  function showTab() {
    leaveTab.abort();
    leaveTab = new AbortController();
    const { signal: left } = leaveTab;
    const [name, , mountTab] = TABS.find(([known]) => known === tab) ?? TABS[0];
    [...tabs.children].forEach((link, index) => void (link.ariaCurrent = TABS[index][0] === name ? "page" : null));
    tabs.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    replace(body);
    view.dataset.tab = name;
    updateTab = mountTab(body, page, left, (key, description, action) => context.bind(key, description, action, left));
  }

  /** @param {string} name */
  function goTo(name) {
    tab = name;
    parameters = new URLSearchParams();
    showAddress(page.address(name), signal, "pushState");
    showTab();
  }

  /** @param {string} message */
  function showEnd(message) {
    leaveTab.abort();
    isShown = false;
    replace(target, failurePage(message));
  }
}

/**
 * The head of the page.
 *
 * @param {string} id
 * @param {[string, string, () => void][]} actions
 */
function createHead(id, actions) {
  const name = element("h1");
  const badge = stateBadge("pending");
  const sentence = element("span");
  const why = element("p", { class: "reason" });
  const progress = element("progress", { max: 1, "aria-label": "Replicas that are ready" });
  const image = element("dd", { class: "mono" });
  const endpoint = element("a", { class: "mono", target: "_blank", rel: "noreferrer" });
  const revision = element("dd");
  const created = element("span");
  const buttons = actions.map(([key, label, run]) => element("button", { type: "button", title: `Key: ${key}`, onclick: run }, label));
  const facts = element("dl", { class: "facts" },
    element("div", {}, element("dt", {}, "Endpoint"), element("dd", {}, endpoint, copyButton(() => endpoint.href))),
    element("div", {}, element("dt", {}, "Image"), image),
    element("div", {}, element("dt", {}, "Revision"), revision));
  const head = element("header", { class: "deployment" },
    element("div", { class: "title" }, element("a", { class: "up", href: listAddress.current }, "Deployments"), name,
      element("span", { class: "identity" }, element("span", { class: "mono" }, id), " · created ", created),
      element("div", { class: "bar", role: "toolbar", "aria-label": "Actions" }, ...buttons)),
    element("p", { class: "sentence", role: "status" }, badge, sentence, progress), why, facts);

  return {
    element: head,
    actions: actions.map(([key, label, run]) => ({ key, label, run })),
    /** @param {import("./deployment/types.js").Page} page */
    update(page) {
      const { status, revisions } = page;
      head.dataset.state = status.state;
      setText(name, status.name);
      setState(badge, status.state);
      setText(sentence, page.sentence);
      setText(why, page.reason);
      why.hidden = !why.textContent;
      progress.hidden = status.state !== "pending" || !status.replicas;
      progress.max = Math.max(1, status.replicas);
      progress.value = status.readyReplicas;
      setText(image, status.image);
      setText(endpoint, status.endpointUrl);
      endpoint.href = /^https?:/.test(status.endpointUrl) ? status.endpointUrl : "";
      const [newest] = revisions;
      setText(revision, newest ? `${newest.number}, ${age(newest.dtCreated)} ago${newest.actor ? `, by ${newest.actor}` : ""}` : "");
      setText(created, `${age(status.dtCreated)} ago`);
      created.title = dateTime(status.dtCreated);
      setText(buttons[2], isStopped(page) ? "Start" : "Stop");
    },
  };
}
