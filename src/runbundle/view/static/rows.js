// A list of which only the rows on screen are elements. It is one tab stop; the row that the keys move is its
// `aria-activedescendant`.
import { h, set } from "./h.js";

const MOST_PX = 8_000_000;
let lists = 0;

/**
 * @typedef {object} Shape
 * @property {string} label the list's name for screen readers
 * @property {string} kind the class that lays out its cells
 * @property {string[]} columns headings
 * @property {"grid" | "treegrid"} [role]
 * @property {number} [height] pixels of a row
 * @property {(row: HTMLElement, cells: HTMLElement[], at: number) => void} draw
 * @property {(at: number) => void} [chosen] a row became the active one
 * @property {(at: number) => void} [opened] a row was opened, by Enter or a second click
 * @property {(event: KeyboardEvent, at: number) => boolean} [key] take a key; true if it was taken
 * @property {(at: number, event: MouseEvent) => boolean} [pressed] take a click on a row; true if it was taken
 */

export class Rows {
  /** @param {Shape} shape */
  constructor(shape) {
    this.shape = shape;
    this.height = shape.height ?? 22;
    this.count = 0;
    this.active = -1;
    this.first = 0;
    this.id = `list${lists++}`;
    /** @type {{row: HTMLElement, cells: HTMLElement[], at: number}[]} */
    this.pool = [];
    this.head = h("div", { class: "head", role: "row", "aria-rowindex": 1 },
      shape.columns.map((text) => h("span", { role: "columnheader" }, text)));
    this.space = h("div", { class: "space", role: "presentation" });
    this.body = h("div", { class: "body", role: "rowgroup" });
    this.element = h("div", { class: `rows ${shape.kind}`, role: shape.role ?? "grid", tabindex: 0,
      "aria-label": shape.label, onscroll: () => this.draw(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.key(event),
      onclick: (/** @type {MouseEvent} */ event) => this.click(event) },
    h("div", { role: "rowgroup", class: "top" }, this.head), this.space, this.body);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.element);
  }

  /** Set how many rows there are, and draw. @param {number} count */
  show(count) {
    this.count = count;
    this.active = Math.min(this.active, count - 1);
    this.space.style.height = `${Math.min(MOST_PX, count * this.height)}px`;
    set(this.element, { "aria-rowcount": count + 1 });
    this.draw();
  }

  /** How many pixels of rows a pixel of the scroll bar stands for: browsers draw no element of any height. */
  get ratio() {
    const seen = this.element.clientHeight - 24;
    return this.count * this.height > MOST_PX ? (this.count * this.height - seen) / (MOST_PX - seen) : 1;
  }

  /** How many pixels of rows are above the first one on screen. */
  get offset() {
    return Math.min(Math.max(0, this.element.scrollTop) * this.ratio, this.count * this.height);
  }

  get room() {
    return Math.max(1, Math.floor((this.element.clientHeight - 24) / this.height));
  }

  /** Draw the rows on screen. */
  draw() {
    if (!this.element.clientHeight) return;
    const most = Math.max(0, this.count - this.room);
    const { offset } = this;
    this.first = Math.min(Math.floor(offset / this.height), most);
    const wanted = Math.min(this.room + 2, this.count - this.first);
    while (this.pool.length < wanted) {
      const cells = this.shape.columns.map(() => h("span", { role: "gridcell" }));
      const row = h("div", { class: "row", role: "row" }, cells);
      row.style.height = `${this.height}px`;
      this.pool.push({ row, cells, at: -1 });
      this.body.append(row);
    }
    const slip = this.ratio > 1 ? 0 : offset - this.first * this.height;
    this.body.style.transform = `translateY(${this.element.scrollTop - slip + 24}px)`;
    this.pool.forEach((item, number) => {
      const at = this.first + number;
      item.row.hidden = number >= wanted;
      if (item.row.hidden) return;
      item.at = at;
      set(item.row, { id: `${this.id}-${at}`, "aria-rowindex": at + 2, "aria-selected": at === this.active });
      item.row.classList.toggle("active", at === this.active);
      this.shape.draw(item.row, item.cells, at);
    });
    const on = this.active >= this.first && this.active < this.first + wanted;
    set(this.element, { "aria-activedescendant": on ? `${this.id}-${this.active}` : null });
  }

  /**
   * Make a row the active one and bring it on screen.
   * @param {number} at
   * @param {boolean} [quiet] whether `chosen` is not told
   */
  choose(at, quiet) {
    if (!this.count) return;
    this.active = Math.max(0, Math.min(at, this.count - 1));
    const top = Math.ceil(this.offset / this.height);
    if (this.active < top) this.scrollTo(this.active);
    else if (this.active >= top + this.room) this.scrollTo(this.active - this.room + 1);
    this.draw();
    if (!quiet) this.shape.chosen?.(this.active);
  }

  /** Bring a row to the middle. @param {number} at */
  center(at) {
    this.scrollTo(at - Math.floor(this.room / 2));
  }

  /** @param {number} at */
  scrollTo(at) {
    this.element.scrollTop = Math.ceil((Math.max(0, at) * this.height) / this.ratio);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.element) return;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: this.room, PageUp: -this.room, Home: -this.count, End: this.count }[event.key];
    const taken = this.shape.key?.(event, this.active) || step || (event.key === "Enter" && this.active >= 0);
    if (!taken) return;
    event.preventDefault();
    if (event.key === "Enter") (this.shape.opened ?? this.shape.chosen)?.(this.active);
    else if (taken === step) this.choose(this.active < 0 ? 0 : this.active + step);
  }

  /** @param {MouseEvent} event */
  click(event) {
    const row = /** @type {Element} */ (event.target).closest(".body > .row");
    const item = this.pool.find((each) => each.row === row);
    if (!item || String(getSelection() ?? "")) return;
    if (this.shape.pressed?.(item.at, event)) return;
    this.choose(item.at);
    this.shape.opened?.(item.at);
  }
}
