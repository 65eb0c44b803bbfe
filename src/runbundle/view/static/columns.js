// The span columns of a run as typed arrays, and the tree that their parents make. No payload is held here.

const MAGIC = "RBCOLS1\n";
const FAULTS = new Set(["error", "blocked", "interrupted", "abandoned", "cancelled"]);

/**
 * @typedef {object} Others lines of events.jsonl that are neither the start nor the end of a span
 * @property {Int32Array} row @property {Float64Array} at @property {Uint32Array} bytes @property {Uint8Array} kind
 */

/** The columns of spans: their names in the file, and the arrays that hold them. @type {Record<string, [string, any]>} */
const COLUMNS = { start: ["start_ns", Float64Array], took: ["duration_ns", Float64Array], parent: ["parent", Int32Array],
  name: ["name", Uint32Array], lane: ["lane", Uint32Array], model: ["model", Uint32Array], tool: ["tool", Uint32Array],
  op: ["op", Uint8Array], status: ["status", Uint8Array], withheld: ["withheld", Uint16Array], tokensIn: ["tokens_in", Uint32Array],
  tokensOut: ["tokens_out", Uint32Array], trace: ["trace", Uint16Array], id: ["span_id", Uint8Array],
  startedAt: ["started_at", Float64Array], startedBytes: ["started_bytes", Uint32Array], endedAt: ["ended_at", Float64Array],
  endedBytes: ["ended_bytes", Uint32Array] };

export class Spans {
  /** @type {Others} */
  others;
  /** Microseconds since `base`. @type {Float64Array} */
  start;
  /** Microseconds; NaN for a span that did not end. @type {Float64Array} */
  took;
  /** @type {Int32Array} */
  parent;
  /** @type {Uint32Array} */
  name;
  /** @type {Uint32Array} */
  lane;
  /** @type {Uint32Array} */
  model;
  /** @type {Uint32Array} */
  tool;
  /** @type {Uint8Array} */
  op;
  /** @type {Uint8Array} */
  status;
  /** @type {Uint16Array} */
  withheld;
  /** @type {Uint32Array} */
  tokensIn;
  /** @type {Uint32Array} */
  tokensOut;
  /** @type {Uint16Array} */
  trace;
  /** @type {Uint8Array} */
  id;
  /** @type {Float64Array} */
  startedAt;
  /** @type {Uint32Array} */
  startedBytes;
  /** @type {Float64Array} */
  endedAt;
  /** @type {Uint32Array} */
  endedBytes;
  constructor() {
    this.n = 0;
    this.base = 0n;
    this.end = 1;
    this.strings = [""];
    this.ops = /** @type {string[]} */ ([]);
    this.statuses = /** @type {string[]} */ ([]);
    this.traces = /** @type {string[]} */ ([]);
    this.kinds = /** @type {string[]} */ ([]);
    for (const [name, [, type]] of Object.entries(COLUMNS)) this[name] = new type(0);
    this.others = { row: new Int32Array(0), at: new Float64Array(0), bytes: new Uint32Array(0), kind: new Uint8Array(0) };
    this.sha256 = "";
  }

  /** @param {number} row */
  idOf(row) {
    let text = "";
    for (let at = row * 8; at < row * 8 + 8; at++) text += this.id[at].toString(16).padStart(2, "0");
    return text;
  }

  /**
   * Return the row of the span whose id begins so, or -1.
   * @param {string} id
   */
  rowOf(id) {
    if (!/^[0-9a-f]{1,16}$/.test(id)) return -1;
    const whole = id.length >> 1;
    const bytes = Array.from({ length: whole }, (_, at) => parseInt(id.slice(2 * at, 2 * at + 2), 16));
    const half = id.length % 2 ? parseInt(id[id.length - 1], 16) : -1;
    next: for (let row = 0; row < this.n; row++) {
      for (let at = 0; at < whole; at++) if (this.id[8 * row + at] !== bytes[at]) continue next;
      if (half < 0 || this.id[8 * row + whole] >> 4 === half) return row;
    }
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
    return this.statuses.map((word) => FAULTS.has(word));
  }
}

/**
 * Read the file of columns.
 * @param {ArrayBuffer} buffer
 * @returns {Spans}
 */
export function parseColumns(buffer) {
  const head = new Uint8Array(buffer, 0, 8);
  if (String.fromCharCode(...head) !== MAGIC) throw new Error("this is no file of span columns");
  const length = new DataView(buffer).getUint32(8, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 12, length)));
  const places = new Map(header.columns.map((/** @type {any} */ column) => [column.name, column]));
  const spans = new Spans();
  spans.n = header.spans;
  spans.base = BigInt(header.base_ns);
  spans.sha256 = header.run_json_sha256;
  for (const list of /** @type {const} */ (["strings", "ops", "statuses", "traces", "kinds"])) spans[list] = header[list];
  const column = (name, type) => {
    const { at, bytes } = places.get(name);
    if (type !== Float64Array) return new type(buffer, at, bytes / type.BYTES_PER_ELEMENT);
    // 64-bit integers as floats, which hold offsets and spans of time exactly; all ones is no number.
    const halves = new Uint32Array(buffer, at, bytes / 4);
    const signed = name === "start_ns";
    const unit = name.endsWith("_ns") ? 1000 : 1;
    const out = new type(halves.length / 2);
    for (let row = 0; row < out.length; row++) {
      const low = halves[2 * row];
      const high = halves[2 * row + 1];
      out[row] = !signed && high === 0xffffffff && low === high ? NaN : ((signed ? high | 0 : high) * 4294967296 + low) / unit;
    }
    return out;
  };
  for (const [name, [inFile, type]] of Object.entries(COLUMNS)) spans[name] = column(inFile, type);
  spans.others = { row: column("row", Int32Array), at: column("at", Float64Array), bytes: column("bytes", Uint32Array), kind: column("kind", Uint8Array) };
  spans.end = endOf(spans);
  return spans;
}

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
      const limit = Number(longer[2]) * UNITS[/** @type {keyof typeof UNITS} */ (longer[3])];
      for (let row = 0; row < n; row++) if (!(longer[1] === ">" ? spans.took[row] > limit : spans.took[row] < limit)) marks[row] = 0;
      continue;
    }
    const parts = /^(tool|model|op|status|name|lane|id):(.*)$/.exec(word);
    const said = parts ? parts[2] : word;
    const inText = spans.strings.map((text) => (text.toLowerCase().includes(said) ? 1 : 0));
    inText[0] = 0;
    const ops = spans.ops.map((text) => text.includes(said));
    const statuses = spans.statuses.map((text) => (text || "open").includes(said));
    const only = parts?.[1];
    if (only === "id" || (!only && /^[0-9a-f]{6,16}$/.test(said))) {
      const row = spans.rowOf(said);
      if (row >= 0 || only) {
        const was = row >= 0 && marks[row];
        marks.fill(0);
        if (was) marks[row] = 1;
        continue;
      }
    }
    const { name, lane, model, tool, op, status } = spans;
    for (let row = 0; row < n; row++) {
      const fits = only === "tool" ? inText[tool[row]] : only === "model" ? inText[model[row]]
        : only === "op" ? ops[op[row]] : only === "status" ? statuses[status[row]] : only === "name" ? inText[name[row]]
        : only === "lane" ? inText[lane[row]]
        : inText[name[row]] || inText[tool[row]] || inText[model[row]] || ops[op[row]] || statuses[status[row]];
      if (!fits) marks[row] = 0;
    }
  }
  return marks;
}
