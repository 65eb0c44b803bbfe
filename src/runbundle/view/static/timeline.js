// The spans as a tree with bars: the keys of a treegrid, folding, finding, and the way from fault to fault.
import { find, Spans, treeOf, visible, withAncestors } from "./columns.js";
import { button, fill, h, letter, mood, num, plural, shown, sign, took } from "./h.js";
import { Minimap } from "./minimap.js";
import { Rows } from "./rows.js";


const SMALL = 400;
const DEEPEST = 40;

export class Timeline {
  /** @param {{chosen: (row: number) => void, asked: (query: string) => void}} told */
  constructor(told) {
    this.told = told;
    this.spans = new Spans();
    this.tree = treeOf(this.spans);
    this.open = new Uint8Array(0);
    this.shown = new Int32Array(0);
    this.marks = /** @type {Uint8Array | null} */ (null);
    this.found = 0;
    this.from = 0;
    this.to = 1;
    this.follow = false;
    this.whole = true;
    this.rows = new Rows({
      label: "Spans", kind: "spans", role: "treegrid", columns: ["Span", "Status", "Took", "When"],
      draw: (row, cells, at) => this.drawRow(row, cells, at),
      chosen: (at) => told.chosen(this.shown[at]),
      key: (event, at) => this.key(event, at),
      pressed: (at, event) => {
        const cell = /** @type {Element} */ (event.target);
        const left = cell.getBoundingClientRect().left + parseFloat(getComputedStyle(cell).paddingLeft);
        if (!cell.matches("span:first-child") || event.clientX > left || event.clientX < left - 18) return false;
        this.toggle(this.shown[at]);
        return true;
      },
    });
    this.map = new Minimap({
      picked: (us) => this.near(us),
      zoomed: (from, to) => this.zoom(from, to),
    });
    this.query = /** @type {HTMLInputElement} */ (h("input", { type: "search", id: "find", placeholder: "find: refund  status:error  >2s  tool:…",
      "aria-label": "Find spans", "aria-describedby": "found", autocomplete: "off", spellcheck: "false",
      oninput: () => this.search(this.query.value),
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1, this.marks ?? this.faults());
        if (event.key === "Escape") this.search((this.query.value = "")), this.rows.element.focus();
      } }));
    this.tally = h("output", { id: "found" });
    this.only = /** @type {HTMLSelectElement} */ (h("select", { "aria-label": "Rows", onchange: () => this.flatten() },
      h("option", { value: "all" }, "all rows"), h("option", { value: "found" }, "found rows"),
      h("option", { value: "faults" }, "faults"), h("option", { value: "withheld" }, "withheld"),
      h("option", { value: "slow" }, "slowest 1 %")));
    const tool = (text, title, act) => button(text, act, { title, "aria-label": /\w/.test(text) ? null : title });
    this.tools = h("div", { class: "tools" }, this.query, this.tally, this.only,
      tool("fold", "Fold all ([)", () => this.foldAll(false)), tool("unfold", "Unfold all (])", () => this.foldAll(true)),
      tool("−", "Zoom out (-)", () => this.scale(2)), tool("+", "Zoom in (+)", () => this.scale(0.5)),
      tool("fit", "Show the whole run (f)", () => this.zoom(0, this.spans.end)));
    this.element = h("div", { class: "timeline" }, this.tools, this.map.canvas, this.rows.element);
  }

  /**
   * Show spans. What was open and chosen before stays so if `same` says that the rows are the same.
   * @param {Spans} spans
   * @param {boolean} [same]
   */
  show(spans, same) {
    const was = this.row;
    this.spans = spans;
    this.tree = treeOf(spans);
    const open = new Uint8Array(spans.n).fill(spans.n <= SMALL || same ? 1 : 0);
    if (same) open.set(this.open.subarray(0, spans.n));
    else if (spans.n > SMALL) for (let row = 0; row < spans.n; row++) open[row] = this.tree.depth[row] < 1 || this.tree.faults[row] > this.tree.fault[row] ? 1 : 0;
    this.open = open;
    if (this.whole) [this.from, this.to] = [0, spans.end];
    this.map.show(spans, this.tree);
    this.map.window(this.from, this.to);
    if (this.query.value) this.marks = find(spans, this.query.value);
    this.flatten();
    if (this.follow && spans.n) this.rows.choose(this.rows.count - 1, true);
    else if (was >= 0) this.reveal(was, true);
  }

  /** The chosen row, or -1. */
  get row() {
    return this.rows.active >= 0 && this.rows.active < this.shown.length ? this.shown[this.rows.active] : -1;
  }

  /** Work out which rows are to be seen, and draw; the chosen one stays if it is among them. */
  flatten() {
    const { spans, tree } = this;
    const was = this.row;
    const marks = { found: () => this.marks, faults: () => this.faults(), withheld: () => spans.withheld,
      slow: () => this.slow(), all: () => null }[this.only.value]?.();
    const kept = marks ? withAncestors(spans, tree, Uint8Array.from(marks, (mark) => (mark ? 1 : 0))) : null;
    this.shown = visible(tree, kept ? new Uint8Array(spans.n).fill(1) : this.open, kept);
    this.rows.active = was < 0 ? -1 : this.placeOf(was);
    this.rows.show(this.shown.length);
  }

  faults() {
    return this.tree.fault;
  }

  slow() {
    const spans = this.spans;
    const sorted = Float64Array.from(spans.took.filter((us) => us === us)).sort();
    const limit = sorted[Math.floor(sorted.length * 0.99)] ?? 0;
    return Uint8Array.from(spans.took, (us) => (us >= limit ? 1 : 0));
  }

  /** Where a row stands among those to be seen; if it is folded away, where what holds it stands. @param {number} row */
  placeOf(row) {
    const { place } = this.tree;
    let low = 0;
    let high = this.shown.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (place[this.shown[middle]] <= place[row]) low = middle;
      else high = middle - 1;
    }
    return this.shown.length ? low : -1;
  }

  /**
   * Unfold what holds a row, choose it and bring it on screen.
   * @param {number} row
   * @param {boolean} [quiet]
   */
  reveal(row, quiet) {
    const { spans, tree } = this;
    if (row < 0 || row >= spans.n) return;
    let folded = false;
    for (let above = row, depth = tree.depth[row]; depth > 0; depth--) {
      above = spans.parent[above];
      folded ||= !this.open[above];
      this.open[above] = 1;
    }
    if (folded) this.flatten();
    if (this.shown[this.placeOf(row)] !== row && this.only.value !== "all") {
      this.only.value = "all";
      this.flatten();
    }
    const at = this.placeOf(row);
    if (at < this.rows.first || at >= this.rows.first + this.rows.room) this.rows.center(at);
    this.rows.choose(at, quiet);
  }

  /** @param {number} row */
  toggle(row) {
    const { size, place } = this.tree;
    if (size[place[row]] < 2) return;
    this.open[row] = this.open[row] ? 0 : 1;
    this.flatten();
  }

  /** @param {boolean} open */
  foldAll(open) {
    this.open.fill(open ? 1 : 0);
    this.flatten();
    if (this.rows.active >= 0) this.rows.choose(this.rows.active);
  }

  /** @param {string} query */
  search(query) {
    const spans = this.spans;
    this.query.value = query;
    this.marks = query.trim() ? find(spans, query) : null;
    this.found = this.marks ? this.marks.reduce((sum, mark) => sum + mark, 0) : 0;
    fill(this.tally, this.marks ? `${num(this.found)} found` : "");
    if (this.only.value === "found") {
      if (!this.marks) this.only.value = "all";
      this.flatten();
    } else this.rows.draw();
    this.told.asked(query);
  }

  /**
   * Go to the next marked row, in the order of the tree.
   * @param {number} way 1 or -1
   * @param {ArrayLike<number>} marks
   */
  step(way, marks) {
    const { order, place } = this.tree;
    const n = order.length;
    const from = this.row < 0 ? (way > 0 ? -1 : n) : place[this.row];
    for (let count = 1; count <= n; count++) {
      const row = order[(((from + way * count) % n) + n) % n];
      if (marks[row]) return this.reveal(row);
    }
  }

  /** Go to the row that began nearest to a moment. @param {number} us */
  near(us) {
    const spans = this.spans;
    let best = -1;
    for (let row = 0; row < spans.n; row++) if (best < 0 || Math.abs(spans.start[row] - us) < Math.abs(spans.start[best] - us)) best = row;
    this.reveal(best);
  }

  /**
   * Let the bars show a part of the run.
   * @param {number} from
   * @param {number} to
   */
  zoom(from, to) {
    const end = this.spans.end;
    const least = Math.min(end, 1);
    this.from = Math.max(0, Math.min(from, end - least));
    this.to = Math.min(end, Math.max(to, this.from + least));
    this.whole = this.from === 0 && this.to === end;
    this.map.window(this.from, this.to);
    this.rows.draw();
  }

  /** Zoom around the chosen span. @param {number} by */
  scale(by) {
    const spans = this.spans;
    const row = this.row;
    const middle = row < 0 ? (this.from + this.to) / 2 : spans.start[row] + (spans.took[row] || 0) / 2;
    const half = ((this.to - this.from) * by) / 2;
    this.zoom(middle - half, middle + half);
  }

  /**
   * @param {KeyboardEvent} event
   * @param {number} at
   */
  key(event, at) {
    const spans = this.spans;
    const { size, place, depth } = this.tree;
    const row = at >= 0 ? this.shown[at] : -1;
    if (event.key === "ArrowRight" && row >= 0) {
      if (size[place[row]] > 1) this.open[row] ? this.rows.choose(at + 1) : this.toggle(row);
      return true;
    }
    if (event.key === "ArrowLeft" && row >= 0) {
      if (this.open[row] && size[place[row]] > 1) this.toggle(row);
      else if (depth[row] > 0) this.rows.choose(this.placeOf(spans.parent[row]));
      return true;
    }
    return false;
  }

  /**
   * @param {HTMLElement} element
   * @param {HTMLElement[]} cells
   * @param {number} at
   */
  drawRow(element, cells, at) {
    const { spans, tree } = this;
    const row = this.shown[at];
    const [name, status, lasted, bar] = cells;
    const op = spans.opOf(row);
    const word = spans.statusOf(row);
    const below = tree.size[tree.place[row]] - 1;
    const open = this.open[row] || this.only.value !== "all";
    const text = shown(spans.nameOf(row), 160);
    const withheld = spans.withheld[row];
    const calm = word === "ok" || word === "unset";
    const inside = tree.faults[row] - tree.fault[row];
    const folded = inside > 0 && !open;
    element.className = `row ${at === this.rows.active ? "active" : ""} ${this.marks?.[row] ? "hit" : ""} op-${letter(op) === "·" ? "O" : letter(op)}`;
    name.dataset.fold = below ? (open ? "▾" : "▸") : "";
    element.setAttribute("aria-level", String(tree.depth[row] + 1));
    if (below) element.setAttribute("aria-expanded", String(Boolean(open)));
    else element.removeAttribute("aria-expanded");
    element.setAttribute("aria-label", `${op} ${text}, ${calm ? "ok" : word}, ${took(spans.took[row])}${withheld ? `, ${withheld} withheld` : ""}`
      + `${inside ? `, ${plural(inside, "fault")} inside` : ""}${spans.parent[row] === -2 ? ", parent not in this run" : ""}`);
    const depth = Math.min(tree.depth[row], DEEPEST);
    name.style.paddingLeft = `${38 + depth * 14}px`;
    name.style.setProperty("--indent", `${4 + depth * 14}px`);
    name.dataset.op = letter(op);
    name.textContent = `${tree.depth[row] > DEEPEST ? `(${tree.depth[row]}) ` : ""}${text}${below && !open ? `  +${num(below)}` : ""}${spans.parent[row] === -2 ? "  ⚠ parent elsewhere" : ""}`;
    status.className = calm ? (folded ? "bad" : "quiet") : mood(word);
    status.textContent = `${calm ? "" : `${sign(word)} ${word}`}${folded ? `${calm ? "" : ", "}✕ ${num(inside)} inside` : ""}`
      || (withheld ? `${withheld} withheld` : "");
    lasted.textContent = took(spans.took[row]);
    const whole = this.to - this.from;
    const left = (spans.start[row] - this.from) / whole;
    const right = (spans.start[row] + (Number.isNaN(spans.took[row]) ? spans.end - spans.start[row] : spans.took[row]) - this.from) / whole;
    const off = right < 0 || left > 1;
    bar.className = off ? "bar off" : `bar ${calm ? "" : mood(word)} ${Number.isNaN(spans.took[row]) ? "open" : ""}`;
    bar.style.setProperty("--from", String(Math.max(0, Math.min(1, left))));
    bar.style.setProperty("--part", String(Math.max(0, Math.min(1, right) - Math.max(0, left))));
  }
}
