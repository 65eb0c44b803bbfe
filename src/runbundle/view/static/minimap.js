// The whole run on a strip: how much was at work when, by kind of work, and where the faults are.
import { h, plural, set, took } from "./h.js";


export class Minimap {
  /** @param {{picked: (us: number) => void, zoomed: (from: number, to: number) => void}} told */
  constructor(told) {
    this.spans = this.tree = this.counted = /** @type {any} */ (null);
    this.from = this.to = 0;
    this.canvas = /** @type {HTMLCanvasElement} */ (h("canvas", { class: "minimap", role: "img" }));
    let pressed = 0;
    set(this.canvas, {
      onpointerdown: (event) => {
        pressed = this.timeAt(event);
        this.canvas.setPointerCapture(event.pointerId);
      },
      onpointerup: (event) => {
        const [from, to] = [pressed, this.timeAt(event)].sort((a, b) => a - b);
        if (to - from > this.spans.end / 100) told.zoomed(from, to);
        else told.picked(to);
      },
    });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** @param {PointerEvent} event */
  timeAt(event) {
    return Math.max(0, Math.min(1, event.offsetX / this.canvas.clientWidth)) * this.spans.end;
  }

  show(spans, tree) {
    this.spans = spans;
    this.tree = tree;
    const faults = tree.fault.reduce((sum, one) => sum + one, 0);
    set(this.canvas, { "aria-label": `Overview of ${plural(spans.n, "span")} in ${took(spans.end)}, ${plural(faults, "fault")}` });
    this.counted = null;
  }

  /** Count the spans of each column of pixels, by lane of the strip. @param {number} width */
  count(width) {
    if (this.counted?.width === width) return this.counted;
    const { spans, tree } = this;
    const lanes = ["agent", "step", "tool", "model", "retrieval"];
    const laneOf = spans.ops.map((op) => (op === "run" ? 0 : lanes.indexOf(op) < 0 ? 1 : lanes.indexOf(op)));
    const sums = lanes.map(() => new Int32Array(width + 2));
    const faults = new Uint8Array(width + 1);
    const scale = width / spans.end;
    const { start, took: lasted, op, n } = spans;
    for (let row = 0; row < n; row++) {
      const from = Math.max(0, Math.min(width - 1, Math.floor(start[row] * scale)));
      const length = lasted[row];
      const to = length !== length ? width - 1 : Math.max(from, Math.min(width - 1, Math.floor((start[row] + length) * scale)));
      const sum = sums[laneOf[op[row]]];
      sum[from]++;
      sum[to + 1]--;
      if (tree.fault[row]) faults[to] = 1;
    }
    for (const sum of sums) for (let x = 1; x <= width; x++) sum[x] += sum[x - 1];
    this.counted = { width, sums, faults };
    return this.counted;
  }

  /** Draw, and mark what the bars show. */
  draw(from = this.from, to = this.to) {
    [this.from, this.to] = [from, to];
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    if (!this.spans?.n || !width) return;
    const ratio = devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    context.scale(ratio, ratio);
    const { sums, faults } = this.count(width);
    // A custom property is not resolved to one of its two colours; what it colours is.
    const colour = (name) => {
      this.canvas.style.color = `var(${name})`;
      return getComputedStyle(this.canvas).color;
    };
    const tall = Math.floor((height - 8) / sums.length);
    sums.forEach((sum, lane) => {
      context.fillStyle = colour(`--op${lane}`);
      let most = 1;
      for (let x = 0; x < width; x++) if (sum[x] > most) most = sum[x];
      for (let x = 0; x < width; x++) {
        if (!sum[x]) continue;
        const part = Math.max(2, Math.ceil((tall - 1) * Math.sqrt(sum[x] / most)));
        context.fillRect(x, 4 + (lane + 1) * tall - part, 1, part);
      }
    });
    context.fillStyle = colour("--bad");
    for (let x = 0; x < width; x++) if (faults[x]) context.fillRect(x - 1, 0, 3, height), (x += 2);
    const left = (this.from / this.spans.end) * width;
    const right = (this.to / this.spans.end) * width;
    context.fillStyle = colour("--veil");
    context.fillRect(0, 0, left, height);
    context.fillRect(right, 0, width - right, height);
    context.strokeStyle = colour("--edge");
    context.strokeRect(left + 0.5, 0.5, Math.max(2, right - left - 1), height - 1);
  }

}
