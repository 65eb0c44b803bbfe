// What one span says: read from its lines of events.jsonl when it is chosen, and not before.
import { block, button, fill, h, letter, note, pill, plural, shown, size, took, when } from "./h.js";
import { parsed, written } from "./json.js";
import { MOST_BYTES } from "./source.js";

/** @typedef {import("./columns.js").Spans} Spans */

const PAYLOADS = { "gen_ai.tool.call.arguments": "Arguments", "gen_ai.tool.call.result": "Result" };
const SHOWN_ELSEWHERE = ["runbundle.redaction", "runbundle.capture", "runbundle.lane", "runbundle.run.id", ...Object.keys(PAYLOADS)];
const own = (attributes, name) => attributes[`runbundle.${name}`];
const MOST_OTHERS = 30;
export const decoder = new TextDecoder();

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
    long ||= bytes > MOST_BYTES;
    return !bytes || bytes > MOST_BYTES ? null : parsed(decoder.decode(await run.bytes("events.jsonl", at, bytes)));
  };
  const { others } = spans;
  const places = Array.from(others.row.keys()).filter((at) => others.row[at] === row);
  const [started, ended, ...rest] = await Promise.all([
    line(spans.started_at[row], spans.started_bytes[row]), line(spans.ended_at[row], spans.ended_bytes[row]),
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
    .map(([name, value]) => [h("dt", name), h("dd", value instanceof Node ? value : shown(value, 2000))]));

/** A part of the details. @param {any} title @param {any[]} children */
const section = (title, ...children) => h("section", h("h3", title), children);

/** @param {string} json */
export function pretty(json) {
  try {
    return written(parsed(json), 2);
  } catch {
    return json;
  }
}

/**
 * A block of text that can be reached by the keyboard.
 * @param {string} label
 * @param {string} content
 */
export const pre = (label, content) => h("pre", { tabindex: 0, role: "region", "aria-label": label }, block(content));

/** What a receipt says was withheld. @param {any} attributes */
export function receiptOf(attributes) {
  try {
    return JSON.parse(own(attributes, "redaction")).n ?? [];
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
  let failed = "";
  const said = /** @type {any} */ (await linesOf(run, row).catch((error) => (failed = shown(error.message, 400))));
  if (!told.asked()) return;
  const heading = h("h2", h("span", { class: "op" }, letter(spans.opOf(row))), ` ${shown(spans.nameOf(row), 300)} `, spans.statusOf(row) !== "unset" && pill(spans.statusOf(row)));
  if (failed) return fill(host, heading, note(failed));
  const attributes = { ...said.started?.attributes, ...said.ended?.attributes };
  const error = said.ended?.error;
  const parent = spans.parent[row];
  const command = `runbundle show ${run.key} --span ${id}`;
  const events = said.others.filter((event) => event.type !== "policy.decision");
  const policy = said.others.filter((event) => !events.includes(event));
  const receipt = receiptOf(attributes);
  const rest = Object.entries(attributes).filter(([name]) => !SHOWN_ELSEWHERE.includes(name));
  fill(host, heading,
    error && h("section", { class: "fault" }, h("h3", `✕ ${shown(error.type)}`),
      h("p", shown(error.message ?? "no message was kept", 4000)),
      error.span_id && button(`began in span ${error.span_id}`, () => told.go(spans.rowOf(error.span_id))),
      events.map(({ attributes: { "exception.stacktrace": stack } }) => stack && pre("Stack trace", String(stack)))),
    policy.map((event) => section("Policy ", facts([
      ["decision", pill(own(event.attributes, "policy.decision") ?? "unknown")],
      ...["rule", "reason"].map((name) => [name, own(event.attributes, `policy.${name}`)])]))),
    Object.entries(PAYLOADS).map(([name, title]) => attributes[name] !== undefined && section(title,
      pre(title, pretty(String(attributes[name]))))),
    section("Facts", facts([
      ["began", said.started && `${when(new Date(said.started.time_ns / 1e6).toISOString())}, ${took(Math.max(0, spans.start[row] - spans.start[0]))} into the run`],
      ["took", took(spans.took[row])],
      ["tool", spans.strings[spans.tool[row]]], ["model", spans.strings[spans.model[row]]],
      ["tokens", spans.tokens_in[row] || spans.tokens_out[row] ? `${spans.tokens_in[row]} in, ${spans.tokens_out[row]} out` : ""],
      ["lane", spans.strings[spans.lane[row]]],
      ["side effects", own(attributes, "tool.side_effects")], ["contract", own(attributes, "contract.version")],
      ["recorded by", said.ended?.scope && `${said.ended.scope.name ?? "?"} ${said.ended.scope.version ?? ""}`],
      ["parent", parent >= 0 ? button(shown(spans.nameOf(parent), 60), () => told.go(parent))
        : parent === -2 ? "not in this run" : ""],
      ["span", h("code", id)], ["trace", spans.traces[spans.trace[row]]]])),
    receipt.length > 0 && section(`Withheld: ${plural(spans.withheld[row], "value")}`,
      h("ul", { class: "receipt" }, receipt.slice(0, 50).map(([path, rule, action]) => h("li", h("b", shown(action)), ` ${shown(path)} — `, h("code", shown(rule))))),
      receipt.length > 50 && note(`and ${receipt.length - 50} more`)),
    events.length > 0 && section(plural(events.length, "event"),
      events.map((event) => h("details", h("summary", `${shown(event.name, 80)} `), pre(event.name, written(event.attributes, 2)))),
      said.more > 0 && note(`and ${plural(said.more, "more event")}; ${command} shows all`)),
    rest.length > 0 && h("details", h("summary", `${plural(rest.length, "attribute")}`),
      pre("Attributes", rest.map(([name, value]) => `${name}: ${typeof value === "string" ? value : written(value)}`).join("\n"))),
    said.long && note(`A line of this span is longer than ${size(MOST_BYTES)}: ${command} shows it.`),
    h("p", { class: "ends" }, copier("copy link", told.link()), copier("copy command", command)));
}

/**
 * @param {string} label
 * @param {string} what
 */
export const copier = (label, what) => button(label, async (/** @type {any} */ { target }) => {
  target.textContent = (await navigator.clipboard?.writeText(what).then(() => "copied", () => what)) ?? what;
}, { title: what });
