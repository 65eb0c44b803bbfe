// The other pages of a run: tools, policy, evidence, redaction, integrity, configuration, and the lines as they are.
import { compare } from "./compare.js";
import { copier, facts, pre, pretty } from "./detail.js";
import { button, fill, h, mood, note, num, pill, plural, shown, sign, size, table, took, when, texts } from "./h.js";
import { Rows } from "./rows.js";
import { scores } from "./scores.js";
import { MOST_BYTES } from "./source.js";

/** @typedef {import("./main.js").Run} Run */
/** @typedef {{run: Run, select: (row: number) => void}} Page */

const text = new TextDecoder();

/**
 * Read a file from its beginning, at most four mebibytes.
 * @param {Run} run
 * @param {string} path
 */
async function head(run, path) {
  const whole = run.sizeOf(path);
  const most = Math.min(whole, 4 * MOST_BYTES);
  const parts = [];
  for (let at = 0; at < most; at += MOST_BYTES) parts.push(text.decode(await run.bytes(path, at, Math.min(MOST_BYTES, most - at)), { stream: true }));
  return { text: parts.join("") + text.decode(), whole: most === whole };
}

/**
 * Return the entries of a file that is one long list, as far as it was read.
 * @param {{text: string, whole: boolean}} read
 * @param {string} key
 * @returns {any[]}
 */
function entries(read, key) {
  if (read.whole) return JSON.parse(read.text)[key] ?? [];
  const end = read.text.lastIndexOf("\n    },\n");
  return end < 0 ? [] : JSON.parse(`${read.text.slice(0, end)}\n    }]}`)[key] ?? [];
}

/** @param {ArrayLike<number>} sorted @param {number} part */
const at = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;

/** @param {string} words */
export const nothing = (words) => h("p", { class: "nothing" }, words);

/**
 * A list of spans with the columns that matter where it stands.
 * @param {Page} page
 * @param {string} label
 * @param {ArrayLike<number>} rows
 */
function spanList({ run, select }, label, rows) {
  const { spans } = run;
  const list = new Rows({ label, kind: "calls", columns: ["Span", "Status", "Took", "Began", "Withheld"],
    draw: (row, cells, index) => {
      const one = rows[index];
      const word = spans.statusOf(one);
      texts(cells, shown(spans.strings[spans.tool[one]] || spans.nameOf(one), 160), word === "unset" ? "–" : `${sign(word)} ${word}`, took(spans.took[one]), `+${took(Math.max(0, spans.start[one]))}`, spans.withheld[one] ? String(spans.withheld[one]) : "");
      cells[1].className = mood(word);
    },
    chosen: (index) => select(rows[index]) });
  list.show(rows.length);
  return list.element;
}

/** @param {Page} page */
async function tools(page) {
  const { spans } = page.run;
  const tool = spans.ops.indexOf("tool");
  /** @type {number[]} */
  const rows = [];
  for (let row = 0; row < spans.n; row++) if (spans.op[row] === tool) rows.push(row);
  if (!rows.length) return nothing("This run called no tool.");
  const bad = spans.faults();
  /** @type {Map<number, {rows: number[], faults: number, withheld: number}>} */
  const by = new Map();
  for (const row of rows) {
    const sum = by.get(spans.tool[row]) ?? { rows: [], faults: 0, withheld: 0 };
    by.set(spans.tool[row], sum);
    sum.rows.push(row);
    sum.faults += bad[spans.status[row]] ? 1 : 0;
    sum.withheld += spans.withheld[row];
  }
  /** @type {Map<string, any>} */
  const known = new Map();
  try {
    for (const call of entries(await head(page.run, "tool_calls.json"), "calls")) known.set(call.tool, call);
  } catch {
    // a page without the file still has the spans
  }
  const list = h("div", { class: "below" });
  /** @param {number[]} some @param {string} label */
  const only = (some, label) => fill(list, spanList(page, label, some));
  only([...rows].sort((a, b) => Number(bad[spans.status[b]]) - Number(bad[spans.status[a]]) || a - b), "Tool calls, faults first");
  const sums = [...by].sort((a, b) => b[1].faults - a[1].faults || b[1].rows.length - a[1].rows.length).slice(0, 40);
  return h("div", { class: "split" }, table("Tools", ["tool", "calls", "faults", "median", "p95", "withheld", "contract", "side effects"],
    sums.map(([name, sum]) => {
      const said = known.get(spans.strings[name]);
      const times = Float64Array.from(sum.rows, (row) => spans.took[row]).filter((us) => us === us).sort();
      const word = spans.strings[name] || "(no name)";
      return [button(shown(word, 80), () => only(sum.rows, `Calls of ${word}`)), num(sum.rows.length),
        sum.faults ? h("span", { class: "bad" }, `✕ ${num(sum.faults)}`) : "–", took(at(times, 0.5)), took(at(times, 0.95)), sum.withheld || "–",
        said ? (said.contract ? `version ${said.contract.version || "?"}` : "none") : "–", said?.side_effects ?? "–"];
    })), by.size > 40 && nothing(`and ${by.size - 40} more tools`), list);
}

/** @param {Page} page */
async function policy({ run, select }) {
  const { spans } = run;
  const kind = spans.kinds.indexOf("policy.decision");
  const places = [];
  for (let one = 0; one < spans.others.row.length; one++) if (spans.others.kind[one] === kind) places.push(one);
  if (!places.length) return nothing("No policy decided anything in this run.");
  const most = places.slice(0, 100);
  const lines = await Promise.all(most.map(async (one) => {
    if (spans.others.bytes[one] > MOST_BYTES) return { attributes: {} };
    return JSON.parse(text.decode(await run.bytes("events.jsonl", spans.others.at[one], spans.others.bytes[one])));
  }));
  return h("div", null, table("Decisions of policy", ["decision", "tool", "rule", "reason", "side effects", "span"],
    lines.map((line, index) => {
      const said = line.attributes;
      const row = spans.others.row[most[index]];
      return [pill(String(said["runbundle.policy.decision"] ?? "unknown")), said["runbundle.policy.tool"] ?? "", said["runbundle.policy.rule"] ?? "",
        said["runbundle.policy.reason"] ?? "", said["runbundle.tool.side_effects"] ?? "",
        row >= 0 ? button(spans.idOf(row), () => select(row)) : ""];
    })), places.length > most.length && nothing(`and ${plural(places.length - most.length, "more decision")}; runbundle show ${run.key} --all shows them`));
}

/** @param {Page} page */
async function evidence({ run, select }) {
  if (!run.sizeOf("evidence.json")) return nothing("This run retrieved nothing.");
  const read = await head(run, "evidence.json");
  const found = entries(read, "retrievals");
  /** @type {any[][]} */
  const rows = [];
  for (const one of found.slice(0, 200)) {
    const row = run.spans.rowOf(one.span_id);
    const place = button(shown(one.retriever, 60), () => select(row));
    if (!one.documents.length) rows.push([place, "–", "nothing came back"]);
    one.documents.slice(0, 20).forEach((/** @type {any} */ document, /** @type {number} */ index) =>
      rows.push([index ? "" : place, document.rank, document.id, document.title ?? "", document.uri ?? "", document.score ?? "", document.bytes === undefined ? "" : size(document.bytes)]));
  }
  return h("div", null, table("Retrieved documents", ["retriever", "rank", "document", "title", "address", "score", "size"], rows),
    (!read.whole || found.length > 200) && nothing(`Only the first ${plural(Math.min(200, found.length), "retrieval")} are shown; evidence.json has all.`));
}

/** @param {Page} page */
async function redaction(page) {
  const { run } = page;
  const said = run.index.redaction;
  const { spans } = run;
  const total = said.totals.reduce((/** @type {number} */ sum, /** @type {any} */ one) => sum + one.count, 0);
  const rows = Array.from({ length: spans.n }, (_, row) => row).filter((row) => spans.withheld[row]).sort((a, b) => spans.withheld[b] - spans.withheld[a]);
  return h("div", { class: "split" },
    h("div", null, h("h2", null, `${plural(total, "value")} withheld`),
      facts([["content", said.content_mode === "debug" ? "DEBUG MODE: raw content lies encrypted in the vault" : "prompts and outputs are digests only"],
        ["policy", said.policy && h("code", null, said.policy)], ["key", said.key_id && h("code", null, shown(said.key_id))],
        ["masked at the seal", said.masked && Object.entries(said.masked).map(([rule, count]) => `${rule}: ${count}`).join(", ")]]),
      said.totals.length > 0 && table("Withheld by rule", ["count", "action", "rule", "why"], [...said.totals].sort((a, b) => b.count - a.count).slice(0, 60)
        .map((/** @type {any} */ one) => [num(one.count), one.action, h("code", null, shown(one.rule)), run.about.rules?.[one.rule] ?? ""]))),
    rows.length > 0 && h("div", { class: "below" }, spanList(page, "Spans of which values were withheld, most first", rows)));
}

/** @param {Page} page */
async function integrity({ run }) {
  const { index, about } = run;
  const done = index.completeness;
  const report = h("div", { "aria-live": "polite" }, nothing("checking the files…"));
  /** @param {boolean} whole */
  const check = async (whole) => {
    const said = await run.source.verify(run.key, whole);
    fill(report, h("h2", null, "Verification ", pill(said.verdict)),
      said.verdict === "unchanged" && note("The files are those that were sealed. Their content was not checked."),
      table("Dimensions", ["dimension", "outcome"], Object.entries(said.dimensions).map(([name, outcome]) => [name, pill(String(outcome))])),
      said.findings.length > 0 && table("Findings", ["code", "where", "what"], said.findings.slice(0, 50).map((/** @type {any} */ one) =>
        [h("span", { class: one.severity === "error" ? "bad" : "doubt" }, `${one.severity === "error" ? "✕" : "!"} ${one.code}`), `${one.file ?? ""}${one.line ? `:${one.line}` : ""}`, one.message])),
      note(`${plural(said.files_checked, "file")}, ${size(said.bytes_checked)} checked${said.checked_at ? ` at ${when(said.checked_at)}, when this page was written` : ""}. ${shown(said.limits, 500)}`),
      said.notes?.map((words) => note(shown(words, 500))),
      !whole && !run.source.sealedIn && button("check everything", () => (fill(report, nothing("checking everything; this takes a while for a long run…")), check(true))));
  };
  check(false).catch((error) => fill(report, nothing(error.message)));
  return h("div", { class: "columns" }, report, h("div", null,
    h("h2", null, "Completeness ", pill(done.state)), facts([
      ["spans", `${num(done.spans_seen)}${done.spans_expected !== undefined && done.spans_expected !== null ? ` of ${num(done.spans_expected)}` : ""}`],
      ["open", done.open_spans?.length], ["cut off", done.cut_off?.length], ["late", done.late || ""],
      ["dropped", Object.entries(done.dropped ?? {}).map(([why, count]) => `${count} ${why}`).join(", ")],
      ["unread", Object.entries(done.unread ?? {}).map(([scope, count]) => `${count} of ${scope}`).join(", ")],
      ["waited", done.grace_s !== undefined && done.grace_s !== null && `${done.grace_s} s for open spans`]]),
    h("h2", null, "Files"), table("Files", ["file", "size", "SHA-256"], [
      ["run.json", size(about.run_bytes), h("code", null, about.run_sha256)],
      ...index.files.map((/** @type {any} */ file) => [file.path, size(file.bytes), h("code", null, file.sha256)])]),
    h("h2", null, "Custody"), facts([["revision", index.revision], ["supersedes", index.supersedes && h("code", null, index.supersedes)],
      ["signed", about.signed ? "there is a signature; it is not checked here" : "no: consistent, not authenticated"],
      ["held", about.hold ?? "no"], ["sealed by", index.versions.runbundle && `runbundle ${index.versions.runbundle}`]])));
}

/** @param {Page} page */
async function config({ run }) {
  const { index } = run;
  const { versions } = index;
  const path = index.config.path;
  const read = run.sizeOf(path) ? await head(run, path) : { text: "{}", whole: true };
  return h("div", { class: "columns" },
    h("div", null, h("h2", null, "Configuration"), pre(read.whole ? pretty(JSON.stringify(JSON.parse(read.text).config ?? null)) : read.text, "Configuration")),
    h("div", null, h("h2", null, "Run"), facts([["run", h("code", null, index.run_id)], ["name", index.name], ...["tenant_id", "case_id", "repeat", "attempt", "request_id", "session_id", "user_id"].map((name) => [name.replace("_id", ""), index[name]]),
      ["inside", index.parent_run?.run_id], ["resumed from", index.resumed_from], ["began", when(index.started_at)], ["ended", when(index.ended_at)],
      ["traces", index.trace_ids.slice(0, 20).join(", ")]]),
    h("h2", null, "Versions"), facts([["runbundle", versions.runbundle], ["python", versions.python], ["OpenTelemetry", versions.otel_sdk],
      ["engine", versions.engine && `${versions.engine.name} ${versions.engine.version}`], ["conventions", versions.semconv],
      ["commit", versions.git && `${versions.git.commit.slice(0, 12)}${versions.git.dirty ? " with local changes" : ""}`], ["models", versions.models?.join(", ")],
      ...Object.entries(versions.providers ?? {}).map(([name, version]) => /** @type {[string, any]} */ ([name, version]))])));
}

/** @param {Page} page */
async function raw({ run, select }) {
  const { spans } = run;
  const { others } = spans;
  const count = 2 * spans.n + others.row.length;
  const place = new Float64Array(count);
  for (let row = 0; row < spans.n; row++) {
    place[row] = spans.startedBytes[row] ? spans.startedAt[row] : NaN;
    place[spans.n + row] = spans.endedBytes[row] ? spans.endedAt[row] : NaN;
  }
  place.set(others.at, 2 * spans.n);
  const order = Uint32Array.from(place, (_, one) => one).filter((one) => place[one] === place[one]).sort((a, b) => place[a] - place[b]);
  /** @param {number} one */
  const rowOf = (one) => (one < 2 * spans.n ? one % spans.n : others.row[one - 2 * spans.n]);
  /** @param {number} one */
  const bytesOf = (one) => (one < spans.n ? spans.startedBytes[one] : one < 2 * spans.n ? spans.endedBytes[one - spans.n] : others.bytes[one - 2 * spans.n]);
  const line = h("div", { class: "below" }, nothing("Choose a line of events.jsonl."));
  const list = new Rows({ label: "Lines of events.jsonl", kind: "lines", columns: ["Line", "Type", "Span", "Bytes"],
    draw: (row, cells, index) => {
      const one = order[index];
      const span = rowOf(one);
      texts(cells, String(index + 1), one < spans.n ? "span.started" : one < 2 * spans.n ? "span.ended" : spans.kinds[others.kind[one - 2 * spans.n]], span < 0 ? "–" : `${spans.idOf(span)}  ${shown(spans.nameOf(span), 120)}`, num(bytesOf(one)));
    },
    chosen: async (index) => {
      const one = order[index];
      if (rowOf(one) >= 0) select(rowOf(one));
      try {
        if (bytesOf(one) > MOST_BYTES) throw new Error(`This line is longer than ${size(MOST_BYTES)}.`);
        const said = text.decode(await run.bytes("events.jsonl", place[one], bytesOf(one)));
        fill(line, h("p", { class: "ends" }, copier("copy line", said)), pre(pretty(said), `Line ${index + 1}`));
      } catch (error) {
        fill(line, nothing(/** @type {Error} */ (error).message));
      }
    } });
  list.show(order.length);
  return h("div", { class: "split" }, h("div", { class: "below" }, list.element), line);
}

/** The pages by the names of their tabs. */
export const VIEWS = { tools, policy, evidence, redaction, integrity, config, raw, scores, compare };
