// The columns of the list: what they show, how they sort, and which deployments a filter keeps.

import { age } from "./format.js";

/**
 * @typedef {object} Row a deployment, as the stream `deployments` sends it
 * @property {string} id
 * @property {string} name
 * @property {string | null} projectId
 * @property {import("./format.js").State} state
 * @property {string | null} error why it failed
 * @property {number} replicas
 * @property {number} readyReplicas
 * @property {string} image
 * @property {string} endpointUrl
 * @property {string} dtCreated
 */

export const STATES = /** @type {const} */ (["failed", "pending", "ready", "stopped"]);

/**
 * @typedef {object} Column
 * @property {string} name
 * @property {string} title
 * @property {(row: Row) => string} text
 * @property {(row: Row) => string | number} [order] what to sort by, if it is not the text
 */

/** @type {readonly Column[]} */
export const COLUMNS = [
  { name: "name", title: "Name", text: (row) => row.name },
  { name: "project", title: "Project", text: (row) => row.projectId ?? "" },
  { name: "state", title: "State", text: (row) => row.state, order: (row) => STATES.indexOf(row.state) },
  { name: "replicas", title: "Replicas", text: (row) => `${row.readyReplicas}/${row.replicas}`, order: (row) => row.replicas },
  { name: "image", title: "Image", text: (row) => row.image },
  { name: "endpoint", title: "Endpoint", text: (row) => withoutMiddle(row.endpointUrl.replace(/^https?:\/\//, "")) },
  { name: "age", title: "Age", text: (row) => age(row.dtCreated), order: (row) => -Date.parse(row.dtCreated) },
];

/**
 * The start and the end of a long text. The ends of endpoints differ, and the starts say where they are.
 *
 * @param {string} text
 */
function withoutMiddle(text) {
  return text.length > 36 ? `${text.slice(0, 20)}…${text.slice(-14)}` : text;
}

const { compare } = new Intl.Collator(undefined, { numeric: true });

/**
 * Return the rows that match a filter, sorted.
 *
 * @param {Iterable<Row>} rows
 * @param {{filter: string, state: string, sort: string}} view `sort` is the name of a column, with "-" in front for the
 *   other direction
 */
export function selectRows(rows, { filter, state, sort }) {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (/** @type {Row} */ row) => {
    const text = `${row.name} ${row.projectId ?? ""} ${row.state} ${row.image} ${row.endpointUrl}`.toLowerCase();
    return (!state || row.state === state) && words.every((word) => text.includes(word));
  };
  const sign = sort.startsWith("-") ? -1 : 1;
  const column = COLUMNS.find(({ name }) => name === sort.replace("-", "")) ?? COLUMNS[COLUMNS.length - 1];
  const keyed = [...rows].filter(matches).map((row) => ({ row, key: (column.order ?? column.text)(row) }));
  keyed.sort((a, b) => {
    const order = typeof a.key === "number" ? a.key - Number(b.key) : compare(a.key, String(b.key));
    return sign * order || compare(a.row.name, b.row.name) || compare(a.row.id, b.row.id);
  });
  return keyed.map(({ row }) => row);
}
