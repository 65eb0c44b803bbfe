// The page: which run and tab the address names, the keys that work everywhere, and what is chosen.
import { parseColumns } from "./columns.js";
import { linesOf, showDetail } from "./detail.js";
import { button, fill, h, note, pill, plural, set, shown, took, when } from "./h.js";
import { runList } from "./list.js";
import { LiveRun } from "./live.js";
import { enter, heldSource, liveSource } from "./source.js";
import { TABS } from "./tabs.js";
import { Timeline } from "./timeline.js";

/**
 * @typedef {object} Run
 * @property {string} key @property {any} about @property {any} index run.json @property {import("./columns.js").Spans} spans
 * @property {import("./source.js").Source} source @property {LiveRun | null} live
 * @property {(name: string, at: number, bytes: number) => Promise<Uint8Array>} bytes
 */

const names = Object.keys(TABS);
const KEYS = { "↑ ↓ Home End PgUp PgDn": "move", "→ ←": "unfold, fold; to the child, the parent", "[ ]": "fold all, unfold all", "/, n N": "find; next, previous found",
  "e E, b": "next, previous fault; next blocked", "f + −": "whole run, zoom in, zoom out", "g, then its letter": names.map((name) => `${TABS[name][1]} ${name}`).join(", "),
  l: "follow a live run", y: "copy a link to this", "?": "this help" };

const held = document.getElementById("held");
const source = held ? heldSource(JSON.parse(/** @type {string} */ (held.textContent)), /** @type {any} */ (document.getElementById("packed")).textContent) : liveSource();
const app = /** @type {HTMLElement} */ (document.getElementById("app"));
const detail = h("aside", { class: "detail", "aria-label": "Chosen span", tabindex: 0 });
const panel = h("div", { class: "panel", role: "tabpanel", id: "panel" });
const notice = h("div", { role: "alert", class: "notice" });
const help = /** @type {HTMLDialogElement} */ (h("dialog", { "aria-label": "Keys" }, h("h2", "Keys"),
  h("dl", { class: "facts" }, Object.entries(KEYS).map(([key, what]) => [h("dt", key), h("dd", what)])),
  h("form", { method: "dialog" }, h("button", "close"))));
document.body.append(help);

let run = /** @type {any} */ (null);
let timeline = /** @type {any} */ (null);
let list = /** @type {any} */ (null);
let tab = "timeline";
let chosen = -1;
let other = "";
let turn = 0;
let going = false;

/** The page: what stands in its head, and below it. */
function page(title, head, ...below) {
  document.title = `${title} – runbundle`;
  fill(app, h("header", head, button("?", () => help.showModal(), { class: "help", "aria-label": "Keys" })), below);
}
const home = held ? h("b", "runbundle") : h("a", { href: "#/", "aria-label": "All runs" }, "◂ runs");

/** Show why there is nothing else to be shown. */
const fail = (error) => page("no run", home, h("main", { role: "alert" }, note(shown(error.message, 400))));

/** What the address says. */
function place() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const said = new URLSearchParams(query);
  return { key: path.startsWith("/run/") ? decodeURIComponent(path.slice(5)) : "", query, span: said.get("span"), tab: said.get("tab"), q: said.get("q"), other: said.get("with") ?? "" };
}

/** The address of what is to be seen. */
function link() {
  const said = new URLSearchParams();
  if (chosen >= 0) said.set("span", run.spans.idOf(chosen));
  if (tab !== "timeline") said.set("tab", tab);
  if (tab === "compare" && other) said.set("with", other);
  if (timeline.query.value) said.set("q", timeline.query.value);
  return `#/run/${encodeURIComponent(run.key)}${said.size ? `?${said}` : ""}`;
}

function remember(step = false) {
  if (location.hash !== link()) history[step ? "pushState" : "replaceState"](null, "", link());
}

function say(text) {
  fill(notice, text && shown(text, 400), text && button("reload", () => location.reload()));
}

function select(row, step = false) {
  if (row < 0) return;
  chosen = row;
  const of = run;
  showDetail(detail, run, row, { go, link: () => location.href.split("#")[0] + link(), asked: () => chosen === row && run === of });
  remember(step);
}

/** Go to a span in the timeline. */
function go(row) {
  if (row < 0) return;
  remember();
  if (tab === "timeline") timeline.reveal(row, true);
  select(row, true);
}

/** The span where the run's failure began, or -1. */
function origin() {
  const { fault, faults, order } = timeline.tree;
  const said = run.spans.rowOf(run.index?.error?.span_id ?? "");
  return said >= 0 ? said : (order.find((row) => fault[row] && faults[row] === 1) ?? -1);
}

async function openTab(name, step = false) {
  tab = names.includes(name) ? name : "timeline";
  const now = ++turn;
  app.querySelectorAll("[role=tab]").forEach((each) => {
    const on = each.id === `tab-${tab}`;
    set(each, { "aria-selected": on, tabindex: on ? 0 : -1 });
  });
  set(panel, { "aria-labelledby": `tab-${tab}` });
  const [, , make, wide] = TABS[tab];
  app.classList.toggle("wide", Boolean(wide));
  remember(step);
  if (!make) {
    fill(panel, timeline.element);
    timeline.rows.draw();
    if (chosen >= 0) timeline.reveal(chosen, true);
    return;
  }
  fill(panel, note("reading…"));
  const made = await make({ run, name: tab, select, other, chose: (key) => ((other = key), remember()) }).catch((error) => note(shown(error.message, 400)));
  if (now === turn) fill(panel, made);
}

/** The frame around a run: who it is, how it went, the first fault, and the tabs. */
function frame() {
  const { index, live, spans, key } = run;
  const first = origin();
  const faults = timeline.tree.fault.reduce((sum, one) => sum + one, 0);
  const why = h("span");
  const tell = (error) => fill(why, shown(error.type, 120), error.message && `: ${shown(error.message, 240)}`);
  tell(index?.error ?? { type: spans.statusOf(first) });
  if (first >= 0) linesOf(run, first).then(({ ended }) => ended?.error && tell(ended.error), () => {});
  const word = live ? live.state : index.status;
  page(`${key.split("/").pop().slice(0, 12)} ${word}`, [home, h("h1", shown((live ?? index).name || "run", 80)), pill(word), h("code", { title: key }, shown(key, 80)),
    index && h("span", `${when(index.started_at)}, ${took(index.duration_ns / 1000)}`), h("span", { class: "count" }, plural(spans.n, "span")),
    index && index.completeness.state !== "complete" && pill(index.completeness.state),
    live && button("follow", follow, { "aria-pressed": timeline.follow })],
  notice, run.about.omitted && h("p", { class: "notice" }, shown(run.about.omitted, 300)),
  first >= 0 && h("section", { class: "fault lead", "aria-label": "First fault" }, "✕ ", h("b", shown(spans.nameOf(first), 120)), ": ", why, " ",
    button("show it", () => go(first)), faults > 1 && ` ${plural(faults, "fault")} in all; e goes to the next`),
  h("nav", { "aria-label": "Views" }, h("div", { role: "tablist", "aria-label": "Views", onkeydown: turnTab }, names.map((name) =>
    button(TABS[name][0], () => openTab(name, true), { role: "tab", id: `tab-${name}`, "aria-controls": "panel" })))),
  h("main", panel, detail));
}

function turnTab(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  openTab(names[(names.indexOf(tab) + step + names.length) % names.length], true);
  document.getElementById(`tab-${tab}`)?.focus();
}

function follow() {
  if (!run.live) return;
  timeline.follow = !timeline.follow;
  app.querySelector("[aria-pressed]")?.setAttribute("aria-pressed", timeline.follow);
  if (timeline.follow) timeline.rows.choose(timeline.rows.count - 1);
}

/** Open the run that the address names, or the list of runs. */
async function open() {
  const said = place();
  const now = ++turn;
  if (run?.key === said.key && !going) {
    const row = run.spans.rowOf(said.span);
    if (row >= 0 && row !== chosen) timeline?.reveal(row, true), select(row);
    if (timeline && ((said.tab ?? "timeline") !== tab || said.other !== other)) (other = said.other), openTab(said.tab);
    return;
  }
  going = false;
  run?.live?.close();
  run = timeline = null;
  chosen = -1;
  say("");
  const key = said.key || (held ? (await source.about("")).key : "");
  if (!key) {
    app.classList.remove("wide");
    list ??= runList(source, (name) => (location.hash = `#/run/${encodeURIComponent(name)}`));
    page("runs", h("h1", "runs"), h("main", list.element));
    list.show(said.query);
    return;
  }
  fill(detail, note("Choose a span."));
  try {
    const about = await source.about(key);
    if (now !== turn) return;
    if (about.state) return watch(key, said);
    const spans = parseColumns(await source.columns(key));
    if (now !== turn) return;
    run = { key, about, index: about.run, spans, source, live: null, bytes: bytesOf(key, about.run.files) };
    begin(said);
  } catch (error) {
    if (now === turn) fail(error);
  }
}

/** A way to read the run's files by their names. */
const bytesOf = (key, files) => (name, at, count) =>
  source.bytes(key, files.find((file) => file.path.endsWith(name))?.path ?? name, at, count).catch((error) => {
    if (error.status === 412) say("This run was sealed anew while you looked at it.");
    throw error;
  });

function begin(said) {
  const of = run;
  timeline = new Timeline({ chosen: select, asked: () => remember() });
  timeline.rows.element.addEventListener("wheel", () => timeline.follow && follow(), { passive: true });
  timeline.show(run.spans);
  other = said.other;
  frame();
  openTab(said.tab);
  if (said.q) timeline.search(said.q);
  const row = run.spans.rowOf(said.span);
  const first = row >= 0 ? row : origin();
  if (said.span && row < 0) say(`There is no span ${said.span}.`);
  if (first >= 0) go(first);
  else timeline.rows.choose(0, true);
  if (tab === "timeline") timeline.rows.element.focus({ preventScroll: true });
  document.documentElement.dataset.ready = "yes";
  if (run.index && !held) source.tab(run.key, "integrity").then((blocks) => of === run && say(blocks.find((block) => block.warn)?.warn), () => {});
}

/** Watch a run that is not sealed; when it is, show the sealed run, with the same span chosen. */
function watch(key, said) {
  const live = new LiveRun(key, {
    changed: () => {
      if (run?.live !== live) return;
      if (!timeline) return begin(said);
      timeline.show(live.spans, true);
      fill(/** @type {Element} */ (app.querySelector(".count")), plural(live.spans.n, "span"));
    },
    state: (now) => {
      if (run?.live !== live) return;
      if (now.state === "sealed") {
        going = true;
        return open();
      }
      if (now.state === "gone") say("The run is not in the spool any more.");
      app.querySelector("header .pill")?.replaceWith(pill(now.state));
    },
  });
  run = { key, about: {}, index: null, spans: live.spans, source, live, bytes: bytesOf(key, []) };
  page("live", [home, pill("live")], h("main", note("waiting for the first span…")));
}

let before = "";
document.addEventListener("keydown", (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || /** @type {Element} */ (target).matches("input, select, textarea") || help.open) return;
  const then = before === "g" && names.find((name) => TABS[name][1] === key);
  before = key;
  const at = timeline;
  const step = (way, marks) => () => marks && at.step(way, marks);
  const acts = at && then ? { [key]: () => openTab(then, true) } : { "?": () => help.showModal(), ...(at && { "/": () => (openTab("timeline"), at.query.focus()), n: step(1, at.marks), N: step(-1, at.marks), e: step(1, at.tree.fault), E: step(-1, at.tree.fault),
    b: () => at.step(1, Array.from(at.spans.status, (one) => at.spans.statuses[one] === "blocked")), "[": () => at.foldAll(0), "]": () => at.foldAll(1),
    f: () => at.zoom(0, at.spans.end), "+": () => at.scale(0.5), "-": () => at.scale(2), l: follow,
    y: () => navigator.clipboard?.writeText(location.href).catch(() => say(location.href)) }) };
  if (!acts[key]) return;
  event.preventDefault();
  acts[key]();
});

addEventListener("hashchange", open);
if (held) open();
else enter().then(open, fail);
