// The span columns of a run as typed arrays, and the tree that their parents make. No payload is held here.
import { mood } from "./h.js";


const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i1: Int8Array, i2: Int16Array, i4: Int32Array, "8 bytes": Uint8Array };

/**
 * The columns by their names in the file, as arrays or typed arrays; `start` and `took` are theirs in microseconds, NaN
 * for a span that did not end. `others` are lines of events.jsonl that are neither the start nor the end of a span.
 */
export class Spans {
  strings = [""];
  ops = [];
  statuses = [];
  traces = [];
  kinds = [];
  n = 0;
  base = 0n;
  end = 1;
  others = { row: [], at: [], bytes: [], kind: [] };
  start = [];
  took = [];
  parent = [];
  name = [];
  lane = [];
  model = [];
  tool = [];
  op = [];
  status = [];
  withheld = [];
  tokens_in = [];
  tokens_out = [];
  trace = [];
  span_id = [];
  started_at = [];
  started_bytes = [];
  ended_at = [];
  ended_bytes = [];

  /** @param {number} row */
  idOf(row) {
    let text = "";
    for (let at = row * 8; at < row * 8 + 8; at++) text += this.span_id[at].toString(16).padStart(2, "0");
    return text;
  }

  /**
   * Return the row of the span whose id begins so, or -1.
   * @param {string} id
   */
  rowOf(id) {
    if (!/^[0-9a-f]{1,16}$/.test(id)) return -1;
    const first = parseInt(id.padEnd(2, "0").slice(0, 2), 16);
    for (let row = 0; row < this.n; row++) if ((id.length < 2 || this.span_id[8 * row] === first) && this.idOf(row).startsWith(id)) return row;
    return -1;
  }

  /** @param {number} row */
  statusOf(row) {
    return this.statuses[this.status[row]] || "open";
  }

  /** @param {number} row */
  nameOf(row) {
    return this.strings[this.name[row]] || "(no name)";
  }

  /** @param {number} row */
  opOf(row) {
    return this.ops[this.op[row]] || "other";
  }

  /** Say for each status whether it is a fault. */
  faults() {
    return this.statuses.map((word) => word && mood(word) === "bad");
  }
}

/**
 * Read the file of columns.
 * @param {ArrayBuffer} buffer
 * @returns {Spans}
 */
export function parseColumns(buffer) {
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 12, new DataView(buffer).getUint32(8, true))));
  const spans = new Spans();
  const found = /** @type {Record<string, any>} */ (spans);
  Object.assign(spans, header, { n: header.spans, base: BigInt(header.base_ns) });
  for (const { name, type, at, bytes, delta } of header.columns) {
    const kind = ARRAYS[type];
    const values = kind ? new kind(buffer, at, bytes / kind.BYTES_PER_ELEMENT) : wide(new Uint32Array(buffer, at, bytes / 4), type === "i8");
    let sum = 0;
    found[name] = delta ? Float64Array.from(values, (step) => (sum += step)) : values;
    if (name === "start_ns") found.start = Float64Array.from(found[name], (ns) => ns / 1000);
    const none = 256 ** (kind?.BYTES_PER_ELEMENT ?? 8) - 1;
    if (name === "duration_ns") found.took = Float64Array.from(values, (ns) => (ns === none ? NaN : ns / 1000));
  }
  spans.others = { row: found.row, at: found.at, bytes: found.bytes, kind: found.kind };
  spans.end = endOf(spans);
  return spans;
}

/** Numbers of 64 bits as floats, which hold offsets and spans of time exactly. */
const wide = (halves, signed) =>
  Float64Array.from({ length: halves.length / 2 }, (_, row) => (signed ? halves[2 * row + 1] | 0 : halves[2 * row + 1]) * 4294967296 + halves[2 * row]);

/** @param {Spans} spans */
export function endOf(spans) {
  let end = 1;
  for (let row = 0; row < spans.n; row++) {
    const last = spans.start[row] + (spans.took[row] || 0);
    if (last > end) end = last;
  }
  return end;
}

/**
 * @typedef {object} Tree
 * @property {Int32Array} order rows, each parent before its children
 * @property {Int32Array} place where a row stands in `order`
 * @property {Int32Array} size how many rows there are in the branch that begins at a place of `order`
 * @property {Uint16Array} depth @property {Int32Array} faults faults in the branch of a row, its own included
 * @property {Uint8Array} fault whether the row itself is one
 */

/**
 * Make the tree. Siblings keep the order of the rows; what is in a circle is shown at the top.
 * @param {Spans} spans
 * @returns {Tree}
 */
export function treeOf(spans) {
  const { n, parent } = spans;
  const first = new Int32Array(n).fill(-1);
  const next = new Int32Array(n).fill(-1);
  let top = -1;
  for (let row = n - 1; row >= 0; row--) {
    const above = parent[row];
    if (above >= 0 && above < n && above !== row) {
      next[row] = first[above];
      first[above] = row;
    } else {
      next[row] = top;
      top = row;
    }
  }
  const order = new Int32Array(n);
  const place = new Int32Array(n).fill(-1);
  const size = new Int32Array(n);
  const depth = new Uint16Array(n);
  let count = 0;
  for (let row = top, level = 0; row >= 0; ) {
    order[count] = row;
    place[row] = count++;
    depth[row] = Math.min(level, 65535);
    if (first[row] >= 0) {
      row = first[row];
      level++;
      continue;
    }
    for (;;) {
      size[place[row]] = count - place[row];
      if (next[row] >= 0) {
        row = next[row];
        break;
      }
      if (level === 0) {
        row = -1;
        break;
      }
      row = parent[row];
      level--;
    }
  }
  for (let row = 0; row < n && count < n; row++) {
    if (place[row] >= 0) continue;
    order[count] = row;
    size[count] = 1;
    place[row] = count++;
  }
  const bad = spans.faults();
  const fault = new Uint8Array(n);
  const faults = new Int32Array(n);
  for (let row = 0; row < n; row++) faults[row] = fault[row] = bad[spans.status[row]] ? 1 : 0;
  for (let at = n - 1; at >= 0; at--) {
    const row = order[at];
    if (depth[row] > 0) faults[parent[row]] += faults[row];
  }
  return { order, place, size, depth, fault, faults };
}

/**
 * Return the rows that are to be seen, in their order.
 * @param {Tree} tree
 * @param {Uint8Array} open whether a row shows its children
 * @param {Uint8Array | null} kept if given, only these rows are shown; what leads to them must be among them
 */
export function visible(tree, open, kept) {
  const { order, size } = tree;
  const n = order.length;
  const out = new Int32Array(n);
  let count = 0;
  for (let at = 0; at < n; ) {
    const row = order[at];
    if (kept && !kept[row]) {
      at += size[at];
      continue;
    }
    out[count++] = row;
    at += open[row] ? 1 : size[at];
  }
  return out.subarray(0, count);
}

/**
 * Return marks for the given rows and for what leads to them.
 * @param {Spans} spans
 * @param {Tree} tree
 * @param {Uint8Array} marks
 */
export function withAncestors(spans, tree, marks) {
  const kept = marks.slice();
  for (let at = tree.order.length - 1; at >= 0; at--) {
    const row = tree.order[at];
    if (kept[row] && tree.depth[row] > 0) kept[spans.parent[row]] = 1;
  }
  return kept;
}

const UNITS = { us: 1, µs: 1, ms: 1e3, s: 1e6, m: 60e6, h: 3600e6 };

/**
 * Return marks for the rows that a query names: words of a name, a tool, a model, a lane or a status; `tool:`, `model:`,
 * `op:`, `status:`, `id:` and `>2s` are narrower. All parts have to fit.
 * @param {Spans} spans
 * @param {string} query
 */
export function find(spans, query) {
  const { n } = spans;
  const marks = new Uint8Array(n).fill(1);
  for (const word of query.toLowerCase().split(/\s+/).filter(Boolean)) {
    const longer = /^([<>])([\d.]+)(us|µs|ms|s|m|h)$/.exec(word);
    if (longer) {
      const way = longer[1] === ">" ? 1 : -1;
      const limit = way * Number(longer[2]) * UNITS[longer[3]];
      for (let row = 0; row < n; row++) if (!(way * spans.took[row] > limit)) marks[row] = 0;
      continue;
    }
    const parts = /^(tool|model|op|status|name|lane|id):(.*)$/.exec(word);
    const said = parts ? parts[2] : word;
    const only = parts?.[1];
    if (only === "id" || (!only && /^[0-9a-f]{6,16}$/.test(said))) {
      const row = spans.rowOf(said);
      if (row >= 0 || only) {
        const was = marks[row];
        marks.fill(0);
        if (was) marks[row] = 1;
        continue;
      }
    }
    const texts = spans.strings.map((text) => text.toLowerCase().includes(said));
    const tables = { name: texts, tool: texts, model: texts, op: spans.ops.map((text) => text.includes(said)),
      status: spans.statuses.map((text) => (text || "open").includes(said)), lane: texts };
    texts[0] = false;
    const hits = new Uint8Array(n);
    for (const column of only ? [only] : ["name", "tool", "model", "op", "status"]) {
      const [table, numbers] = [tables[column], spans[column]];
      for (let row = 0; row < n; row++) if (table[numbers[row]]) hits[row] = 1;
    }
    for (let row = 0; row < n; row++) marks[row] &= hits[row];
  }
  return marks;
}
