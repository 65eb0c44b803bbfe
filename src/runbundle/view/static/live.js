// A run that is still being written: its spans arrive by server-sent events and are added to growing columns.
import { endOf, Spans } from "./columns.js";
import { parsed } from "./json.js";
import { address } from "./source.js";

const REDRAWN_MS = 100;

export class LiveRun {
  /** @param {{changed: () => void, state: (now: any) => void}} told */
  constructor(key, told) {
    this.spans = new Spans();
    this.spans.statuses = [""];
    this.told = told;
    this.key = key;
    this.rows = new Map();
    this.waiting = new Map();
    this.words = new Map();
    this.name = "";
    this.state = "live";
    this.places = [];
    this.due = 0;
    this.events = new EventSource(`api/live/${address(key)}`);
    this.events.addEventListener("rows", (event) => this.take(JSON.parse(event.data)));
    this.events.addEventListener("state", (event) => {
      const said = JSON.parse(event.data);
      this.state = said.state;
      this.name ||= said.name;
      if (said.state === "sealed" || said.state === "gone") this.events.close();
      told.state(said);
    });
  }

  close() {
    this.events.close();
    clearTimeout(this.due);
  }

  /** The number of a word in a table of the columns. */
  word(text, table = this.spans.strings) {
    if (!this.words.has(table)) this.words.set(table, new Map(table.map((word, at) => [word, at])));
    const numbers = this.words.get(table);
    if (!numbers.has(text)) numbers.set(text, table.push(text) - 1);
    return numbers.get(text);
  }

  row(id, parent, start) {
    const { spans, rows, waiting } = this;
    if (rows.has(id)) return rows.get(id);
    const row = spans.n++;
    if (!row) spans.base = BigInt(start);
    rows.set(id, row);
    for (let at = 0; at < 8; at++) spans.span_id[8 * row + at] = parseInt(id.slice(2 * at, 2 * at + 2), 16);
    spans.start[row] = Number(BigInt(start) - spans.base) / 1000;
    spans.took[row] = NaN;
    for (const name of ["name", "lane", "model", "tool", "op", "status", "withheld"]) spans[name][row] = 0;
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
      spans.op[row] = this.word(one.op, spans.ops);
      if (one.lane) spans.lane[row] = this.word(one.lane);
      if (!one.end) continue;
      spans.took[row] = Number(BigInt(one.end) - BigInt(one.start)) / 1000;
      spans.status[row] = this.word(one.status, spans.statuses);
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
    const answer = await fetch(`api/journal/${address(this.key)}?${new URLSearchParams(place)}`);
    return answer.ok ? { ...none, ...parsed(await answer.text()) } : none;
  }
}
