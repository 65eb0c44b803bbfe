// A run that is still being written: its spans arrive by server-sent events and are added to growing columns.
import { endOf, Spans } from "./columns.js";

const REDRAWN_MS = 100;

export class LiveRun {
  constructor(key, told) {
    this.spans = new Spans();
    this.spans.statuses = [""];
    this.told = told;
    this.key = key;
    this.rows = new Map();
    this.waiting = new Map();
    this.words = new Map([["", 0]]);
    this.opWords = new Map();
    this.statusWords = new Map([["", 0]]);
    this.name = "";
    this.places = [];
    this.room = 0;
    this.state = "live";
    this.due = 0;
    this.events = new EventSource(`api/live/${key.split("/").map(encodeURIComponent).join("/")}`);
    this.events.addEventListener("rows", (event) => this.take(JSON.parse(event.data)));
    this.events.addEventListener("state", (event) => {
      const said = JSON.parse(event.data);
      this.state = said.state;
      if (said.state === "sealed" || said.state === "gone") this.events.close();
      told.state(said);
    });
  }

  close() {
    this.events.close();
    clearTimeout(this.due);
  }

  grow() {
    const { spans } = this;
    this.room = Math.max(1024, this.room * 2);
    for (const [name, value] of Object.entries(spans)) {
      if (!ArrayBuffer.isView(value)) continue;
      const size = name === "id" ? 8 : 1;
      const bigger = new /** @type {any} */ (value.constructor)(this.room * size);
      bigger.set(value);
      spans[name] = bigger;
    }
  }

  /** The number of a word in a table of the columns. */
  word(text, table = this.spans.strings, words = this.words) {
    let number = words.get(text);
    if (number === undefined) {
      number = table.push(text) - 1;
      words.set(text, number);
    }
    return number;
  }

  row(id, parent, start) {
    const { spans, rows, waiting } = this;
    let row = rows.get(id);
    if (row !== undefined) return row;
    row = spans.n++;
    if (row >= this.room) this.grow();
    if (!row) spans.base = BigInt(start);
    rows.set(id, row);
    for (let at = 0; at < 8; at++) spans.id[8 * row + at] = parseInt(id.slice(2 * at, 2 * at + 2), 16);
    spans.start[row] = Number(BigInt(start) - spans.base) / 1000;
    spans.took[row] = NaN;
    spans.parent[row] = parent ? rows.get(parent) ?? -2 : -1;
    if (spans.parent[row] === -2) waiting.set(parent, [...(waiting.get(parent) ?? []), row]);
    for (const below of waiting.get(id) ?? []) spans.parent[below] = row;
    waiting.delete(id);
    return row;
  }

  take(batch) {
    const { spans } = this;
    for (const one of batch) {
      const row = this.row(one.id, one.parent, one.start);
      spans.name[row] = this.word(one.name);
      spans.op[row] = this.word(one.op, spans.ops, this.opWords);
      if (one.lane) spans.lane[row] = this.word(one.lane);
      if (!one.end) continue;
      spans.took[row] = Number(BigInt(one.end) - BigInt(one.start)) / 1000;
      spans.status[row] = this.word(one.status, spans.statuses, this.statusWords);
      spans.tool[row] = this.word(one.tool);
      spans.model[row] = this.word(one.model);
      spans.withheld[row] = one.withheld;
      this.places[row] = one.place;
    }
    this.due ||= setTimeout(() => {
      this.due = 0;
      spans.end = Math.max(endOf(spans), this.state === "live" ? Date.now() * 1000 - Number(spans.base / 1000n) : 1);
      this.told.changed();
    }, REDRAWN_MS);
  }

  async linesOf(row) {
    const none = { started: null, ended: null, others: [], more: 0, long: false };
    const place = this.places[row];
    if (!place) return none;
    const answer = await fetch(`api/journal/${this.key}?${new URLSearchParams(place)}`);
    return answer.ok ? { ...none, ...(await answer.json()) } : none;
  }
}
