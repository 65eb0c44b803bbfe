// What scorers and gates said of a run.
import { button, h, note, pill, shown, table, when } from "./h.js";

const MOST = 12;

/** What was said of a run. @param {any} page */
export async function scores({ run, select }) {
  const said = await run.source.scores(run.key);
  /** @param {any} one */
  const event = (one) => h("li", null, one.code && h("code", null, `${one.code} `), shown(one.run_id, 80), " ",
    one.span_id && (one.run_id === run.index.run_id ? button(one.span_id, () => select(run.spans.rowOf(one.span_id))) : h("code", null, one.span_id)), one.seq !== undefined && ` event ${one.seq}`, `: ${shown(one.what, 300)}`);
  /** @param {any} one */
  const why = (one) => h("div", null, shown(one.reason, 400), h("ul", null, one.evidence.slice(0, MOST).map(event),
    one.flips.slice(0, MOST).map((/** @type {any} */ flip) => [h("li", null, `case ${shown(flip.case_id, 80)}: ${flip.baseline} → ${flip.candidate} ${shown(flip.note, 200)}`), flip.causes.map(event)])));
  const card = said.scorecard;
  return h("div", null, said.remarks.map((/** @type {string} */ words) => h("p", { class: "bad" }, `✕ ${shown(words, 300)}`)),
    card ? table("Scores", ["score", "value", "status", "by", "evidence"], card.scores.map((/** @type {any} */ one) =>
      [one.name, one.value ?? one.label ?? "–", one.status === "ok" ? pill("ok") : h("span", null, pill(one.status), ` ${shown(one.reason, 200)}`), one.evaluator ?? "",
        h("span", null, one.evidence.slice(0, 5).map((/** @type {any} */ at) => [button(at.span_id, () => select(run.spans.rowOf(at.span_id))), " "]))]))
      : note(`No scorecard: runbundle score ${run.key} writes one.`),
    said.gates.map((/** @type {any} */ gate) => [h("h2", null, "Gate ", pill(gate.verdict), gate.baseline && ` against ${gate.baseline.name}, entry ${gate.baseline.number}`, gate.decided_at && `, ${when(gate.decided_at)}`),
      table("Checks", ["check", "verdict", "why"], gate.criteria.map((/** @type {any} */ one) => [`${one.name}${one.waived ? " (waived)" : one.blocking ? "" : " (not blocking)"}`, pill(one.verdict), why(one)])),
      gate.notes.map((/** @type {string} */ words) => note(shown(words, 300)))]),
    !said.gates.length && note("No gate judged this run."));
}
