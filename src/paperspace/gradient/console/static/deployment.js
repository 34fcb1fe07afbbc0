// The page of one deployment.

import { element } from "./dom.js";

/**
 * @param {HTMLElement} target
 * @param {import("./app.js").Context} context
 */
export function mount(target, context) {
  const [, id] = context.address.path;
  context.title("Deployment");
  target.append(element("h1", {}, id));
  return () => {};
}
