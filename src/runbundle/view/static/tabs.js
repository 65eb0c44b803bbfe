// The tabs of a run: most are told by the server as blocks, which are drawn here; the lines of events.jsonl are read.
import { parseColumns } from "./columns.js";
import { compare } from "./compare.js";
import { copier, decoder, facts, pre, pretty } from "./detail.js";
import { button, fill, h, mood, note, num, pill, shown, sign, size, table, took, when, texts } from "./h.js";
import { Rows } from "./rows.js";
import { MOST_BYTES } from "./source.js";

/** @typedef {import("./main.js").Run} Run */
/** @typedef {{run: Run, name: string, select: (row: number) => void}} Page */

/** A list of spans. @param {Page} page @param {string} label @param {ArrayLike<number>} rows */
function spanList({ run: { spans }, select }, label, rows) {
  const list = new Rows({ label, kind: "calls", columns: ["Span", "Status", "Took", "Began", "Withheld"],
    draw: (row, cells, index) => {
      const one = rows[index];
      const word = spans.statusOf(one);
      texts(cells, shown(spans.strings[spans.tool[one]] || spans.nameOf(one), 160), word === "unset" ? "–" : `${sign(word)} ${word}`,
        took(spans.took[one]), `+${took(Math.max(0, spans.start[one]))}`, spans.withheld[one] || "");
      cells[1].className = mood(word);
    },
    chosen: (index) => select(rows[index]) });
  list.show(rows.length);
  return list.element;
}

/** The rows of tool calls, or those with something withheld; what matters most first. */
function rowsOf(spans, kind, tool) {
  const op = spans.ops.indexOf("tool");
  const wanted = tool === undefined ? -1 : spans.strings.indexOf(tool);
  const bad = spans.faults();
  const weight = (row) => (kind === "withheld" ? spans.withheld[row] : bad[spans.status[row]]);
  const rows = [];
  for (let row = 0; row < spans.n; row++)
    if (kind === "withheld" ? spans.withheld[row] : spans.op[row] === op && (wanted < 0 || spans.tool[row] === wanted)) rows.push(row);
  return rows.sort((a, b) => weight(b) - weight(a) || a - b);
}

/**
 * Draw what the server told of a tab.
 * @param {Page} page
 * @param {boolean} [whole] whether everything is to be verified
 */
export async function told(page, whole) {
  const { run, name, select } = page;
  const blocks = await run.source.tab(run.key, name, whole);
  const below = h("div", { class: "below" });
  const show = (label, kind, tool) => fill(below, spanList(page, label, rowsOf(run.spans, kind, tool)));
  const cell = (said) => {
    if (typeof said !== "object") return typeof said === "number" ? num(said) : said;
    const [kind] = Object.keys(said);
    const value = said[kind];
    const made = { pill, us: took, bytes: size, when, code: (text) => h("code", shown(text)),
      span: (id) => button(shown(said.text ?? id, 60), () => select(run.spans.rowOf(id))),
      tool: (tool) => button(shown(tool || "(no name)", 80), () => show(`Calls of ${tool}`, "tool", tool)) }[kind];
    return made ? made(value) : h("span", { class: kind }, shown(value));
  };
  const draw = (block) => {
    if (block.h) return h("h2", shown(block.h), " ", block.pill && pill(block.pill));
    if (block.facts) return facts(block.facts.map(([name, value]) => [name, cell(value)]));
    if (block.pre) return pre(block.label, block.pre);
    if (block.spans) return show(block.spans, block.kind);
    if (block.beside) return null;
    if (block.whole) return button(block.whole, async (event) => {
      const host = event.target.parentElement.parentElement;
      fill(host, note("checking everything…"));
      host.replaceWith(await told(page, true));
    });
    if (!block.table) return h("p", { class: block.warn ? "fault" : "note" }, shown(block.warn ?? block.note, 600));
    return table(block.table, block.columns, block.rows.map((row) => row.map(cell)));
  };
  const beside = blocks.find((block) => block.beside)?.beside;
  const main = h("div", blocks.map(draw));
  return beside ? h("div", { class: "columns" }, main, h("div", beside.map(draw))) : h("div", { class: "split" }, main, below.firstChild && below);
}

/** The lines of events.jsonl; of a run that is not sealed, as they would be written now. @param {Page} page */
async function raw({ run, select }) {
  if (run.live) await run.source.about(run.key);  // so that the journals are read anew
  const spans = run.live ? parseColumns(await run.source.columns(run.key)) : run.spans;
  const { n, others } = spans;
  const place = new Float64Array(2 * n + others.row.length);
  for (let row = 0; row < n; row++) {
    place[row] = spans.started_bytes[row] ? spans.started_at[row] : NaN;
    place[n + row] = spans.ended_bytes[row] ? spans.ended_at[row] : NaN;
  }
  place.set(others.at, 2 * n);
  const order = Uint32Array.from(place, (_, one) => one).filter((one) => place[one] === place[one]).sort((a, b) => place[a] - place[b]);
  /** @returns {any[]} its place, row, type and bytes */
  const lineOf = (index) => {
    const one = order[index];
    if (one < n) return [place[one], one, "span.started", spans.started_bytes[one]];
    if (one < 2 * n) return [place[one], one - n, "span.ended", spans.ended_bytes[one - n]];
    const other = one - 2 * n;
    return [place[one], others.row[other], spans.kinds[others.kind[other]], others.bytes[other]];
  };
  const line = h("div", { class: "below" }, note("Choose a line."));
  const list = new Rows({ label: "Lines of events.jsonl", kind: "lines", columns: ["Line", "Type", "Span", "Bytes"],
    draw: (element, cells, index) => {
      const [, row, type, bytes] = lineOf(index);
      texts(cells, index + 1, type, row < 0 ? "–" : `${spans.idOf(row)}  ${shown(spans.nameOf(row), 120)}`, num(bytes));
    },
    chosen: async (index) => {
      const [at, row, , bytes] = lineOf(index);
      if (row >= 0) select(run.live ? run.spans.rowOf(spans.idOf(row)) : row);
      try {
        if (bytes > MOST_BYTES) throw new Error(`This line is longer than ${size(MOST_BYTES)}.`);
        const said = decoder.decode(await run.bytes("events.jsonl", at, bytes));
        fill(line, h("p", { class: "ends" }, copier("copy line", said)), pre(`Line ${index + 1}`, pretty(said)));
      } catch (error) {
        fill(line, note(error.message));
      }
    } });
  list.show(order.length);
  return h("div", { class: "split" }, run.live && note("Not sealed: these are the lines that a seal would write now."), h("div", { class: "below" }, list.element), line);
}

/** The tabs: name in the address, title, the key after `g`, what draws it, whether it needs the place of the details. */
export const TABS = {
  timeline: ["Timeline", "t"], tools: ["Tools", "o", told], policy: ["Policy", "p", told], evidence: ["Evidence", "v", told],
  redaction: ["Redaction", "r", told], integrity: ["Integrity", "i", told, true], config: ["Config", "c", told, true], raw: ["Raw", "w", raw], scores: ["Scores", "s", told], compare: ["Compare", "d", compare],
};
