// Two runs beside each other. The report is that of `diff --format json`.
import { button, fill, h, note, num, pill, plural, shown, table, took } from "./h.js";
import { parsed, written } from "./json.js";

const MOST = 12;

/** A JSON value on one line. @param {any} value */
const inWords = (value) => shown(typeof value === "string" ? value : written(value), 120);

/** One operation of a patch. @param {any} one */
const operation = (one) => h("li", h("code", shown(one.path || "/", 120)), ": ",
  one.op !== "add" && h("del", inWords(one.was)), one.op === "replace" && " → ", one.op !== "remove" && h("ins", inWords(one.value)));

/** @param {any[]} patch */
const operations = (patch) => h("ul", patch.slice(0, MOST).map(operation), patch.length > MOST && h("li", `${patch.length - MOST} more`));

/** How many, and what. @param {string} words */
const folded = (words) => h("li", { class: "quiet" }, `⋯ ${words}`);

/**
 * The report on two runs. `span` makes the element that stands for a span of A or B.
 * @param {any} report
 * @param {(side: string, id: string) => any} span
 */
export function drawn(report, span) {
  const { causes, changes } = report;
  const spans = (/** @type {any} */ one) => ["a", "b"].filter((side) => one[`${side}_span_id`]).map((side) => [" ", side.toUpperCase(), " ", span(side, one[`${side}_span_id`])]);
  /** @type {any[]} */
  const steps = [];
  let left = report.same_steps;
  let follow = 0;
  let among = 0;
  const flush = () => follow && steps.push(folded(`${plural(follow, "step")} more, by what follows from it${among ? `, among ${num(among)} equal` : ""}`));
  for (const one of changes) {
    left -= one.equal_before;
    if (one.follows) {
      follow++;
      among += one.equal_before;
    } else {
      flush();
      follow = among = 0;
      if (one.equal_before) steps.push(folded(plural(one.equal_before, "equal step")));
      const what = one.values.map((/** @type {any} */ value) => value.value + (value.hidden ? " (not shown)" : "")).join(", ");
      steps.push(h("li", pill(one.verdict), ` ${one.op} `, h("b", shown(one.name, 80)),
        one.steps > 1 && ` and ${plural(one.steps - 1, "step")} beneath it`, what && `: ${what}`, spans(one),
        one.values.filter((/** @type {any} */ value) => !value.hidden && value.patch.length).map((/** @type {any} */ value) => [h("h3", value.value), operations(value.patch)])));
    }
  }
  flush();
  const more = report.changes_total - changes.length;
  if (more) steps.push(folded(`${plural(more, "difference")} more: runbundle diff --full`));
  else if (left) steps.push(folded(plural(left, "equal step")));
  const numbers = [...report.totals, ...report.tools.map((/** @type {any} */ one) => ({ ...one, what: `calls of ${one.tool}` }))]
    .filter(({ a, b }) => a !== b).map(({ what, a, b }) => [what, num(a), num(b), num(b - a)]);
  return h("div", { class: "compared" },
    causes.length ? causes.map((/** @type {any} */ one, /** @type {number} */ at) => h(at ? "p" : "h2", at ? "also " : "", h("code", one.code), ` ${shown(one.sentence, 300)}`, spans(one)))
      : h("h2", pill(report.outcome === "same" ? "pass" : "unknown"), report.outcome === "same" ? " the same but for times and ids" : " not found to differ, but not all was compared"),
    table("Runs", ["side", "run", "name", "status", "steps", "took"], ["a", "b"].map((side, at) => [side.toUpperCase(), h("code", shown(report[side].run_id, 80)), report[side].name ?? "",
      pill(report[side].status), num(report[side].steps), took(Number(report.duration_ns[at]) / 1000)])),
    report.also.length > 0 && note(`also: ${shown(report.also.join("; "), 400)}`),
    report.config.length > 0 && [h("h2", "Configuration"), operations(report.config)],
    steps.length > 0 && [h("h2", `Steps: ${num(report.same_steps)} the same, ${num(report.changes_total)} not`), h("ul", { class: "steps" }, steps)],
    numbers.length > 0 && table("Numbers", ["what", "A", "B", "B − A"], numbers),
    report.unknown > 0 && note(`Not compared: values of ${plural(report.unknown, "step")}, not shown or not whole.`),
    !report.is_fewest && note("A shorter list may exist."),
    causes.length > 0 && note(`Not proven: ${report.limits}.`));
}

/** The run beside another one. @param {any} page */
export async function compare({ run, select, other, chose }) {
  const { source, key } = run;
  if (!source.compare) return note("This file has one run; runbundle diff A B --format html writes one about two.");
  const out = h("div", { "aria-live": "polite" });
  const known = (await source.runs(new URLSearchParams({ state: "sealed" }))).runs.filter((/** @type {any} */ one) => one.key !== key).slice(0, 50);
  const field = /** @type {HTMLInputElement} */ (h("input", { id: "with", list: "others", value: other }));
  const show = async () => {
    const name = field.value.trim();
    chose(name);
    if (!name) return fill(out, note("Choose the baseline A; this run is B."));
    fill(out, note("comparing…"));
    try {
      const report = await source.compare(key, name);
      if (field.value.trim() !== name) return;
      fill(out, drawn(report, (side, id) => (side === "b" ? button(id, () => select(run.spans.rowOf(id))) : h("a", { href: `#/run/${encodeURIComponent(name)}?span=${id}` }, id))));
    } catch (error) {
      fill(out, h("p", { role: "alert" }, pill("error"), ` ${shown(error.message, 400)}`));
    }
  };
  const form = h("form", { class: "tools", onsubmit: (/** @type {Event} */ event) => (event.preventDefault(), show()) }, h("label", { for: "with" }, "Compare with"), field,
    h("datalist", { id: "others" }, known.map((/** @type {any} */ one) => h("option", { value: one.key }))), h("button", "compare"));
  show();
  return h("div", form, out);
}

const report = document.getElementById("compared");
if (report) fill(/** @type {HTMLElement} */ (document.getElementById("app")), h("header", h("b", "runbundle"), h("h1", "two runs")), h("main", drawn(parsed(/** @type {string} */ (report.textContent)), (_, id) => h("code", id))));
