// The lines of a log that the page keeps: the newest ones, in order, each once.

/**
 * @typedef {{instance: string, number: number, next?: number, time: number, text: string}} Line number 0: a remark about missing
 *   lines before the line `next`
 */

const OVERLAP = 10_000; // milliseconds
const SIZE = 50_000_000; // characters that are kept: a line may have 16 KB

export class LogLines {
  /** @param {number} limit how many lines are kept */
  constructor(limit) {
    this.limit = limit;
    /** @type {Line[]} */
    this.all = [];
    /** @type {Line[]} the lines that match the search: `all` without one */
    this.shown = this.all;
    this.size = 0; // characters of all lines
    /** How many shown lines were dropped: the index of a line plus this never changes. */
    this.dropped = 0;
    this.search = "";
    /** @type {Map<string, {name: string, last: number, time: number}>} the number and the time of the last line of each instance */
    this.instances = new Map();
  }

  /** The time to continue from: a little before the last line, as another replica may be behind. Null: there is no line. */
  get since() {
    const last = this.all.at(-1);
    return last ? new Date(last.time - OVERLAP).toISOString() : null;
  }

  /**
   * Add lines that were not added before, and return how many of them are shown.
   *
   * @param {[string, number, string, string][]} lines
   */
  add(lines) {
    /** @type {Line[]} */
    const added = [];
    for (const [name, number, at, text] of lines) {
      const time = Date.parse(at);
      let instance = this.instances.get(name);
      if (!instance) this.instances.set(name, (instance = { name, last: number - 1, time }));
      // A smaller number at a later time: the server has a new file of logs.
      if (number <= instance.last && time <= instance.time) continue;
      const line = { instance: instance.name, number, time, text };
      const missing = number - instance.last - 1;
      if (missing > 0) added.push({ ...line, number: 0, next: number, text: `(${missing.toLocaleString("en")} lines are not loaded)` });
      Object.assign(instance, { last: number, time });
      added.push(line);
    }
    for (const line of added) {
      this.all.push(line);
      this.size += line.text.length;
    }
    const matching = this.search ? added.filter((line) => this.#matches(line)) : added;
    if (this.search) this.shown.push(...matching);
    if (this.all.length > this.limit * 1.1 || this.size > SIZE * 1.1) this.#drop();
    return matching.length;
  }

  /**
   * Show only the lines that contain a text.
   *
   * @param {string} text
   */
  filter(text) {
    this.search = text.toLowerCase();
    this.shown = this.search ? this.all.filter((line) => this.#matches(line)) : this.all;
    this.dropped = 0;
  }

  /** @param {Line} line */
  #matches(line) {
    return line.number === 0 || line.text.toLowerCase().includes(this.search);
  }

  #drop() {
    let count = 0;
    while (this.all.length - count > this.limit || this.size > SIZE) this.size -= this.all[count++].text.length;
    this.all.splice(0, count);
    if (this.shown === this.all) this.dropped += count;
    else {
      const kept = new Set(this.all);
      const before = this.shown.length;
      this.shown = this.shown.filter((line) => kept.has(line));
      this.dropped += before - this.shown.length;
    }
  }
}
