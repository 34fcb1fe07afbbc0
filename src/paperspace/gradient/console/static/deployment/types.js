// The types of what the actions and streams of this page return. `types.py` of the library and `lanes.py` describe the fields.

/**
 * @typedef {{name: string | null, phase: string | null, state: string | null, message: string | null}} Instance
 * @typedef {{id: string, name: string, dtCreated: string, specId: string, image: string,
 *   state: "pending" | "ready" | "stopped" | "failed", applied: boolean, replicas: number, readyReplicas: number,
 *   serving: {specId: string | null, replicas: number, readyReplicas: number} | null, endpointUrl: string,
 *   error: string | null, instances: Instance[]}} Status
 * @typedef {{id: string, dtCreated: string, dtLast: string, count: number, severity: "NORMAL" | "WARNING", reason: string,
 *   message: string, deploymentSpecId: string | null, instanceName: string | null}} Event
 * @typedef {"pending" | "healthy" | "retrying" | "failed" | "stopping"} Phase
 * @typedef {{name: string, state: string, message: string, restarts: number, current: boolean,
 *   phases: {from: string, to: string | null, phase: Phase}[],
 *   marks: {time: string, severity: string, reason: string, message: string, count: number}[]}} Lane
 * @typedef {import("../difference.js").SpecChange} SpecChange
 * @typedef {{id: string, number: number, dtCreated: string, actor: string | null, image: string, summary: string,
 *   changes: SpecChange[]}} Revision
 * @typedef {{time: string, replicas: number, readyReplicas: number, [figure: string]: any}} Point
 */

/**
 * What the tabs of the page share.
 *
 * @typedef {object} Page
 * @property {Status} status
 * @property {string} sentence what the state means
 * @property {string} reason why it has failed, or is not ready; "" if there is nothing to say
 * @property {Lane[]} lanes the history of each replica
 * @property {Event[] | null} events newest first; null if the server has none
 * @property {Revision[]} revisions newest first
 * @property {(name: string, args?: object, signal?: AbortSignal) => Promise<any>} call calls an action for this deployment.
 *   Without a signal, it goes on when the page is left: it changes something
 * @property {(name: string, args: () => object, onBatch: (values: any[]) => void, signal: AbortSignal) => Promise<void>} stream
 * @property {(name: string) => string} parameter returns a parameter of the address; "" if it has none
 * @property {(values: Record<string, string>) => void} remember changes parameters of the address
 * @property {(tab: string, parameters?: Record<string, string>) => string} address returns the address of a tab
 * @property {(message: string) => void} announce
 * @property {() => void} leave leaves the field that is edited, or opens the list
 */

/**
 * A tab fills an element, and returns what to call when a part of the deployment has changed. The signal is aborted when
 * the tab is left: it ends streams, calls and keys.
 *
 * @typedef {(parent: HTMLElement, page: Page, signal: AbortSignal, bind: Bind) => (() => void)} Tab
 * @typedef {(key: string, description: string, action: (event: KeyboardEvent) => void) => void} Bind
 */

export {};
