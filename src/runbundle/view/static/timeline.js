// The spans as a tree with bars: the keys of a treegrid, folding, finding, and the way from fault to fault.
import { find, Spans, treeOf, visible, withAncestors } from "./columns.js";
import { button, fill, h, letter, mood, num, plural, set, shown, sign, took } from "./h.js";
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
    this.from = this.to = 0;
    this.marks = /** @type {Uint8Array | null} */ (null);
    this.follow = false;
    this.whole = true;
    this.rows = new Rows({
      label: "Spans", kind: "spans", role: "treegrid", columns: ["Span", "Status", "Took", "When"],
      draw: (row, cells, at) => this.drawRow(row, cells, at),
      chosen: (at) => told.chosen(this.shown[at]),
      key: (event, at) => this.key(event, at),
      pressed: (at, event) => {
        const left = 38 + 14 * this.indent(this.shown[at]);
        const fold = /** @type {Element} */ (event.target).matches("span:first-child") && event.offsetX < left && event.offsetX > left - 38;
        if (fold) this.toggle(this.shown[at]);
        return fold;
      },
    });
    this.map = new Minimap({ picked: (us) => this.near(us), zoomed: (from, to) => this.zoom(from, to) });
    this.query = /** @type {HTMLInputElement} */ (h("input", { type: "search", id: "find", placeholder: "find: refund  status:error  >2s  tool:…",
      "aria-label": "Find spans", "aria-describedby": "found", autocomplete: "off", spellcheck: "false",
      oninput: () => this.search(this.query.value),
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1, this.marks ?? this.tree.fault);
        if (event.key === "Escape") this.search((this.query.value = "")), this.rows.element.focus();
      } }));
    this.tally = h("output", { id: "found" });
    this.only = /** @type {HTMLSelectElement} */ (h("select", { "aria-label": "Rows", onchange: () => this.flatten() },
      ["all rows", "found rows", "faults", "withheld", "slowest 1 %"].map((text) => h("option", { value: text.split(" ")[0] }, text))));
    const tool = (text, title, act) => button(text, act, { title, "aria-label": title });
    const tools = h("div", { class: "tools" }, this.query, this.tally, this.only,
      tool("fold", "Fold all ([)", () => this.foldAll(0)), tool("unfold", "Unfold all (])", () => this.foldAll(1)),
      tool("−", "Zoom out (-)", () => this.scale(2)), tool("+", "Zoom in (+)", () => this.scale(0.5)),
      tool("fit", "Fit: the whole run (f)", () => this.zoom(0, this.spans.end)));
    this.element = h("div", { class: "timeline" }, tools, this.map.canvas, this.rows.element);
  }

  /**
   * Show spans. What was open and chosen before stays so if `same` says that the rows are the same.
   * @param {Spans} spans
   * @param {boolean} [same]
   */
  show(spans, same) {
    const was = same ? this.row : -1;
    const { depth, faults, fault } = (this.tree = treeOf(spans));
    this.spans = spans;
    const open = new Uint8Array(spans.n).fill(1);
    if (same) open.set(this.open);
    else if (spans.n > SMALL) open.forEach((_, row) => (open[row] = depth[row] < 1 || faults[row] > fault[row] ? 1 : 0));
    this.open = open;
    if (this.whole) [this.from, this.to] = [0, spans.end];
    this.map.show(spans, this.tree);
    this.map.draw(this.from, this.to);
    if (this.query.value) this.marks = find(spans, this.query.value);
    this.flatten();
    if (this.follow && spans.n) this.rows.choose(this.rows.count - 1, true);
    else if (was >= 0) this.reveal(was, true);
  }

  /** The chosen row, or -1. */
  get row() {
    return this.shown[this.rows.active] ?? -1;
  }

  /** Work out which rows are to be seen, and draw; the chosen one stays if it is among them. */
  flatten() {
    const { spans, tree } = this;
    const was = this.row;
    const marks = { found: () => this.marks, faults: () => tree.fault, withheld: () => spans.withheld, slowest: () => this.slow() }[this.only.value]?.();
    const kept = marks ? withAncestors(spans, tree, Uint8Array.from(marks, (mark) => (mark ? 1 : 0))) : null;
    this.shown = visible(tree, kept ? new Uint8Array(spans.n).fill(1) : this.open, kept);
    this.rows.active = was < 0 ? -1 : this.placeOf(was);
    this.rows.show(this.shown.length);
  }

  slow() {
    const spans = this.spans;
    const sorted = Float64Array.from(spans.took.filter((us) => us === us)).sort();
    return spans.took.map((us) => (us >= sorted[Math.floor(sorted.length * 0.99)] ? 1 : 0));
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

  /** @param {number} open 1 or 0 */
  foldAll(open) {
    this.open.fill(open);
    this.flatten();
    if (this.rows.active >= 0) this.rows.choose(this.rows.active);
  }

  /** @param {string} query */
  search(query) {
    const spans = this.spans;
    this.query.value = query;
    this.marks = query.trim() ? find(spans, query) : null;
    fill(this.tally, this.marks && `${num(this.marks.reduce((sum, mark) => sum + mark, 0))} found`);
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
    const far = this.spans.start.map((start) => Math.abs(start - us));
    this.reveal(far.indexOf(far.reduce((least, one) => Math.min(least, one), Infinity)));
  }

  /**
   * Let the bars show a part of the run.
   * @param {number} from
   * @param {number} to
   */
  zoom(from, to) {
    const { end } = this.spans;
    this.from = Math.max(0, Math.min(from, end - 1));
    this.to = Math.min(end, Math.max(to, this.from + 1));
    this.whole = this.from === 0 && this.to === end;
    this.map.draw(this.from, this.to);
    this.rows.draw();
  }

  /** Zoom around the chosen span. @param {number} by */
  scale(by) {
    const { spans, row } = this;
    const middle = row < 0 ? (this.from + this.to) / 2 : spans.start[row] + (spans.took[row] || 0) / 2;
    const half = ((this.to - this.from) * by) / 2;
    this.zoom(middle - half, middle + half);
  }

  /** How far in a row is drawn. @param {number} row */
  indent(row) {
    return Math.min(this.tree.depth[row], DEEPEST);
  }

  /** Take a key of a treegrid. */
  key({ key }, at) {
    const { row, tree } = this;
    if (row < 0 || !/^Arrow(Left|Right)$/.test(key)) return false;
    const below = tree.size[tree.place[row]] > 1;
    if (below && Boolean(this.open[row]) === (key === "ArrowLeft")) this.toggle(row);
    else if (key === "ArrowRight") below && this.rows.choose(at + 1);
    else if (tree.depth[row] > 0) this.rows.choose(this.placeOf(this.spans.parent[row]));
    return true;
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
    const withheld = spans.withheld[row] ? `${spans.withheld[row]} withheld` : "";
    const lost = spans.parent[row] === -2 ? "parent not in this run" : "";
    const calm = word === "ok" || word === "unset";
    const inside = tree.faults[row] - tree.fault[row];
    const hidden = inside ? `✕ ${plural(inside, "fault")} inside` : "";
    const said = calm ? "" : `${sign(word)} ${word}`;
    const kind = `row ${at === this.rows.active ? "active" : ""} ${this.marks?.[row] ? "hit" : ""} op-${letter(op)}`;
    name.dataset.fold = below ? (open ? "▾" : "▸") : "";
    set(element, { class: kind, "aria-level": tree.depth[row] + 1, "aria-expanded": below ? Boolean(open) : null, "aria-label": `${op} ${text}, ${[calm ? "ok" : word, took(spans.took[row]), withheld, hidden, lost].filter(Boolean).join(", ")}` });
    name.style.setProperty("--indent", `${this.indent(row) * 14}px`);
    name.dataset.op = letter(op);
    name.textContent = `${tree.depth[row] > DEEPEST ? `(${tree.depth[row]}) ` : ""}${text}${below && !open ? `  +${num(below)}` : ""}  ${lost}`;
    status.className = calm ? (hidden && !open ? "bad" : "quiet") : mood(word);
    status.textContent = [said, !open && hidden].filter(Boolean).join(", ") || withheld;
    lasted.textContent = took(spans.took[row]);
    const whole = this.to - this.from;
    const left = (spans.start[row] - this.from) / whole;
    const opened = Number.isNaN(spans.took[row]);
    const right = opened ? 1 : left + spans.took[row] / whole;
    bar.className = `bar ${right < 0 || left > 1 ? "off" : calm ? "" : mood(word)} ${opened ? "open" : ""}`;
    const from = Math.max(0, Math.min(1, left));
    bar.style.setProperty("--from", String(from));
    bar.style.setProperty("--part", String(Math.max(0, Math.min(1, right) - from)));
  }
}
