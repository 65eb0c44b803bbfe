// What one span says: read from its lines of events.jsonl when it is chosen, and not before.
import { block, button, fill, h, letter, note, pill, plural, shown, size, took, when } from "./h.js";
import { MOST_BYTES } from "./source.js";

/** @typedef {import("./columns.js").Spans} Spans */

const PAYLOADS = { "gen_ai.tool.call.arguments": "Arguments", "gen_ai.tool.call.result": "Result" };
const SHOWN_ELSEWHERE = new Set(["runbundle.redaction", "runbundle.capture", "runbundle.lane", "runbundle.run.id", ...Object.keys(PAYLOADS)]);
const MOST_OTHERS = 30;
const text = new TextDecoder();

/** @typedef {{started: any, ended: any, others: any[], more: number, long: boolean}} Said */

/**
 * Read the lines of a span.
 * @param {import("./main.js").Run} run
 * @param {number} row
 * @returns {Promise<Said>}
 */
export async function linesOf(run, row) {
  if (run.live) return run.live.linesOf(row);
  const { spans } = run;
  let long = false;
  /**
   * @param {number} at
   * @param {number} bytes
   */
  const line = async (at, bytes) => {
    if (!bytes || Number.isNaN(at)) return null;
    if (bytes > MOST_BYTES) {
      long = true;
      return null;
    }
    return JSON.parse(text.decode(await run.bytes("events.jsonl", at, bytes)));
  };
  const { others } = spans;
  const places = [];
  for (let at = 0; at < others.row.length; at++) if (others.row[at] === row) places.push(at);
  const [started, ended, ...rest] = await Promise.all([
    line(spans.startedAt[row], spans.startedBytes[row]), line(spans.endedAt[row], spans.endedBytes[row]),
    ...places.slice(0, MOST_OTHERS).map((at) => line(others.at[at], others.bytes[at])),
  ]);
  return { started, ended, others: rest.filter(Boolean), more: Math.max(0, places.length - MOST_OTHERS), long };
}

/**
 * A table of two columns, without empty rows.
 * @param {any[][]} rows
 */
export const facts = (rows) =>
  h("dl", { class: "facts" }, rows.filter(([, value]) => value !== undefined && value !== null && value !== "" && value !== false)
    .map(([name, value]) => [h("dt", null, name), h("dd", null, value instanceof Node ? value : shown(value, 2000))]));

/** A part of the details. @param {any} title @param {any[]} children */
const section = (title, ...children) => h("section", null, h("h3", null, title), children);

/** @param {string} json */
export function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

/**
 * A block of text that can be reached by the keyboard.
 * @param {string} content
 * @param {string} label
 */
export const pre = (content, label) => h("pre", { tabindex: 0, role: "region", "aria-label": label }, block(content));

/** What a receipt says was withheld. @param {any} attributes */
export function receiptOf(attributes) {
  try {
    const said = JSON.parse(attributes["runbundle.redaction"] ?? "{}");
    return /** @type {string[][]} */ (said.n ?? []);
  } catch {
    return [];
  }
}

/**
 * @param {HTMLElement} host
 * @param {import("./main.js").Run} run
 * @param {number} row
 * @param {{go: (row: number) => void, link: () => string, asked: () => boolean}} told
 */
export async function showDetail(host, run, row, told) {
  const { spans } = run;
  const id = spans.idOf(row);
  /** @type {Said} */
  let said;
  try {
    said = await linesOf(run, row);
  } catch (error) {
    if (!told.asked()) return;
    fill(host, heading(spans, row), note(shown(/** @type {Error} */ (error).message, 400)));
    return;
  }
  if (!told.asked()) return;
  const attributes = { ...said.started?.attributes, ...said.ended?.attributes };
  const error = said.ended?.error;
  const parent = spans.parent[row];
  const command = `runbundle show ${run.key} --span ${id}`;
  const events = said.others.filter((event) => event.type !== "policy.decision");
  const policy = said.others.filter((event) => event.type === "policy.decision");
  const receipt = receiptOf(attributes);
  const exceptions = events.filter((event) => event.attributes["exception.type"] || event.attributes["exception.message"]);
  const rest = Object.entries(attributes).filter(([name]) => !SHOWN_ELSEWHERE.has(name));
  fill(host, heading(spans, row),
    error && h("section", { class: "fault" }, h("h3", null, `✕ ${shown(error.type)}`),
      h("p", null, shown(error.message ?? "no message was kept", 4000)),
      error.span_id && button(`began in span ${error.span_id}`, () => told.go(spans.rowOf(error.span_id))),
      exceptions.map((event) => event.attributes["exception.stacktrace"] && pre(String(event.attributes["exception.stacktrace"]), "Stack trace"))),
    policy.map((event) => section("Policy ", facts([
      ["decision", pill(String(event.attributes["runbundle.policy.decision"] ?? "unknown"))],
      ["rule", event.attributes["runbundle.policy.rule"]], ["reason", event.attributes["runbundle.policy.reason"]]]))),
    Object.entries(PAYLOADS).map(([name, title]) => attributes[name] !== undefined && section(title,
      pre(pretty(String(attributes[name])), title))),
    section("Facts", facts([
      ["began", said.started && `${when(new Date(Number(BigInt(said.started.time_ns) / 1000000n)).toISOString())}, ${took(Math.max(0, spans.start[row] - spans.start[0]))} into the run`],
      ["took", took(spans.took[row])],
      ["tool", spans.strings[spans.tool[row]]], ["model", spans.strings[spans.model[row]]],
      ["tokens", spans.tokensIn[row] || spans.tokensOut[row] ? `${spans.tokensIn[row]} in, ${spans.tokensOut[row]} out` : ""],
      ["lane", spans.strings[spans.lane[row]]],
      ["side effects", attributes["runbundle.tool.side_effects"]],
      ["contract", attributes["runbundle.contract.version"] && `version ${attributes["runbundle.contract.version"]}`],
      ["recorded by", said.ended?.scope && `${said.ended.scope.name ?? "?"} ${said.ended.scope.version ?? ""}`],
      ["parent", parent >= 0 ? button(shown(spans.nameOf(parent), 60), () => told.go(parent))
        : parent === -2 ? "not in this run" : ""],
      ["span", h("code", null, id)], ["trace", spans.traces[spans.trace[row]]]])),
    receipt.length > 0 && section(`Withheld: ${plural(spans.withheld[row], "value")}`,
      h("ul", { class: "receipt" }, receipt.slice(0, 50).map(([path, rule, action]) => h("li", null, h("b", null, shown(action)), ` ${shown(path)} — `, h("code", null, shown(rule))))),
      receipt.length > 50 && note(`and ${receipt.length - 50} more`)),
    events.length > 0 && section(plural(events.length, "event"),
      events.map((event) => h("details", null, h("summary", null, `${shown(event.name, 80)} `), pre(JSON.stringify(event.attributes, null, 2), event.name))),
      said.more > 0 && note(`and ${plural(said.more, "more event")}; ${command} shows all`)),
    rest.length > 0 && h("details", null, h("summary", null, `${plural(rest.length, "attribute")}`),
      pre(rest.map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`).join("\n"), "Attributes")),
    said.long && note(`A line of this span is longer than ${size(MOST_BYTES)}: ${command} shows it.`),
    h("p", { class: "ends" }, copier("copy link", told.link()), copier("copy command", command)));
}

/**
 * @param {Spans} spans
 * @param {number} row
 */
const heading = (spans, row) =>
  h("h2", null, h("span", { class: "op" }, letter(spans.opOf(row))), ` ${shown(spans.nameOf(row), 300)} `, spans.statusOf(row) !== "unset" && pill(spans.statusOf(row)));

/**
 * @param {string} label
 * @param {string} what
 */
export const copier = (label, what) =>
  h("button", { type: "button", title: what, onclick: async (/** @type {Event} */ event) => {
    const button = /** @type {HTMLElement} */ (event.currentTarget);
    try {
      await navigator.clipboard.writeText(what);
      button.textContent = "copied";
    } catch {
      button.textContent = what;
    }
  } }, label);
