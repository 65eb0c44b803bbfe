// The page: which run and tab the address names, the keys that work everywhere, and what is chosen.
import { parseColumns } from "./columns.js";
import { linesOf, showDetail } from "./detail.js";
import { button, fill, h, pill, plural, shown, took, when } from "./h.js";
import { runList } from "./list.js";
import { LiveRun } from "./live.js";
import { enter, heldSource, liveSource, Refused } from "./source.js";
import { nothing, VIEWS } from "./tabs.js";
import { Timeline } from "./timeline.js";

/**
 * @typedef {object} Run
 * @property {string} key @property {any} about @property {any} index run.json @property {import("./columns.js").Spans} spans
 * @property {import("./source.js").Source} source @property {LiveRun | null} live
 * @property {(name: string, at: number, bytes: number) => Promise<Uint8Array>} bytes @property {(name: string) => number} sizeOf
 */

const TABS = { timeline: "Timeline", tools: "Tools", policy: "Policy", evidence: "Evidence", redaction: "Redaction",
  integrity: "Integrity", config: "Config", raw: "Raw", scores: "Scores", compare: "Compare" };
const GO = { t: "timeline", o: "tools", p: "policy", v: "evidence", r: "redaction", i: "integrity", c: "config", w: "raw", s: "scores", d: "compare" };
const WIDE = new Set(["integrity", "config"]);
const KEYS = [["↑ ↓ Home End PgUp PgDn", "move"], ["→ ←", "unfold, fold; to the child, the parent"], ["[ ]", "fold all, unfold all"],
  ["/", "find"], ["n N", "next, previous found span"], ["e E", "next, previous fault"], ["b", "next blocked span"],
  ["f + −", "whole run, zoom in, zoom out"], ["g then t o p v r i c w s d", "Timeline, tOols, Policy, eVidence, Redaction, Integrity, Config, raW, Scores, compare (Diff)"],
  ["l", "follow a live run"], ["y", "copy a link to this"], ["?", "this help"]];

const held = document.getElementById("held");
const source = held ? heldSource(JSON.parse(held.textContent ?? ""), document.getElementById("packed")?.textContent ?? "") : liveSource();
const app = document.getElementById("app") ?? document.body;
const detail = h("aside", { class: "detail", "aria-label": "Chosen span", tabindex: 0 });
const panel = h("div", { class: "panel", role: "tabpanel", id: "panel" });
const notice = h("div", { role: "alert", class: "notice" });
const help = /** @type {HTMLDialogElement} */ (h("dialog", { "aria-label": "Keys" }, h("h2", null, "Keys"),
  h("dl", { class: "facts" }, KEYS.map(([key, what]) => [h("dt", null, h("kbd", null, key)), h("dd", null, what)])),
  h("form", { method: "dialog" }, h("button", null, "close"))));
document.body.append(help);

let run = /** @type {Run | null} */ (null);
let timeline = /** @type {Timeline | null} */ (null);
let tab = "timeline";
let chosen = -1;
let other = "";
let turn = 0;
let going = false;

const helper = () => button("?", () => help.showModal(), { class: "help", "aria-label": "Keys" });

/** Show why there is nothing else to be shown. */
const fail = (error) => fill(app, h("header", null, !held && h("a", { href: "#/" }, "◂ runs")), h("main", null, h("p", { class: "nothing", role: "alert" }, shown(error.message, 400))));

/** What the address says. */
function address() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const found = /^\/run\/(.+)$/.exec(path);
  const said = new URLSearchParams(query);
  return { key: found ? decodeURIComponent(found[1]) : "", span: said.get("span") ?? "", tab: said.get("tab") ?? "timeline", q: said.get("q") ?? "", other: said.get("with") ?? "" };
}

/** The address of what is to be seen. */
function link() {
  if (!run) return "#/";
  const said = new URLSearchParams();
  if (chosen >= 0) said.set("span", run.spans.idOf(chosen));
  if (tab !== "timeline") said.set("tab", tab);
  if (tab === "compare" && other) said.set("with", other);
  if (timeline?.query.value) said.set("q", timeline.query.value);
  const query = String(said);
  return `#/run/${encodeURIComponent(run.key)}${query ? `?${query}` : ""}`;
}

function remember(step = false) {
  if (location.hash !== link()) history[step ? "pushState" : "replaceState"](null, "", link());
}

function say(text) {
  fill(notice, text && shown(text, 400), text && button("reload", () => location.reload()));
}

function select(row, step = false) {
  if (!run || row < 0) return;
  chosen = row;
  const of = run;
  showDetail(detail, run, row, { go: (other) => go(other), link: () => location.href.split("#")[0] + link(), asked: () => chosen === row && run === of });
  remember(step);
}

/** Go to a span in the timeline. */
function go(row) {
  if (row < 0) return;
  remember();
  if (tab === "timeline") timeline?.reveal(row, true);
  select(row, true);
}

/** The span where the run's failure began, or -1. */
function origin() {
  if (!run || !timeline) return -1;
  const { fault, faults, order } = timeline.tree;
  const said = run.index?.error?.span_id ? run.spans.rowOf(run.index.error.span_id) : -1;
  return said >= 0 ? said : (order.find((row) => fault[row] === 1 && faults[row] === 1) ?? -1);
}

async function openTab(name, step = false) {
  if (!run || !timeline) return;
  tab = name in TABS ? name : "timeline";
  const now = ++turn;
  app.querySelectorAll("[role=tab]").forEach((each) => {
    const on = each.id === `tab-${tab}`;
    each.setAttribute("aria-selected", String(on));
    each.setAttribute("tabindex", on ? "0" : "-1");
  });
  panel.setAttribute("aria-labelledby", `tab-${tab}`);
  app.classList.toggle("wide", WIDE.has(tab));
  remember(step);
  if (tab === "timeline") {
    fill(panel, timeline.element);
    timeline.rows.draw();
    if (chosen >= 0) timeline.reveal(chosen, true);
    return;
  }
  if (run.live && tab !== "tools") return fill(panel, nothing("This is known when the run is sealed."));
  fill(panel, nothing("reading…"));
  try {
    const made = await VIEWS[tab]({ run, select, told: other, chose: (name) => ((other = name), remember()) });
    if (now === turn) fill(panel, made);
  } catch (error) {
    if (now === turn) fill(panel, nothing(shown(error.message, 400)));
  }
}

/** The frame around a run: who it is, how it went, the first fault, and the tabs. */
function frame() {
  const index = run?.index;
  const first = origin();
  const faults = timeline ? timeline.tree.fault.reduce((sum, one) => sum + one, 0) : 0;
  const kind = h("span", null, shown(index?.error?.type ?? run?.spans.statusOf(first), 120));
  const message = h("span", null, index?.error?.message && `: ${shown(index.error.message, 240)}`);
  if (run && first >= 0 && !index?.error) linesOf(run, first).then(({ ended }) => {
    if (ended?.error) fill(kind, shown(ended.error.type, 120)), fill(message, ended.error.message && `: ${shown(ended.error.message, 240)}`);
  }, () => {});
  const word = run?.live ? run.live.state : index.status;
  document.title = `${run?.key.split("/").pop()?.slice(0, 12)} ${word} – runbundle`;
  fill(app, h("header", null, source.sealedIn ? h("b", null, "runbundle") : h("a", { href: "#/", "aria-label": "All runs" }, "◂ runs"),
    h("h1", null, shown(index?.name ?? run?.live?.name ?? "run", 80)), pill(word), h("code", { title: run?.key }, shown(run?.key, 80)),
    index && h("span", null, `${when(index.started_at)}, ${took(Number(index.duration_ns) / 1000)}`),
    h("span", null, plural(run?.spans.n ?? 0, "span")),
    index && index.completeness.state !== "complete" && pill(index.completeness.state),
    run?.live && button("follow", follow, { "aria-pressed": timeline?.follow ? "true" : "false" }),
    helper()),
  notice,
  run?.about?.omitted && h("p", { class: "notice" }, shown(run.about.omitted, 300)),
  faults > 0 && first >= 0 && h("section", { class: "fault lead", "aria-label": "First fault" }, "✕ ", kind, " in ", h("b", null, shown(run?.spans.nameOf(first), 120)), message, " ", button("show it", () => go(first)), faults > 1 && ` ${plural(faults, "fault")} in all; e goes to the next`),
  h("nav", { "aria-label": "Views" }, h("div", { role: "tablist", "aria-label": "Views", onkeydown: turnTab }, Object.entries(TABS).map(([name, title]) =>
    button(title, () => openTab(name, true), { role: "tab", id: `tab-${name}`, "aria-controls": "panel" })))),
  h("main", null, panel, detail));
}

function turnTab(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const names = Object.keys(TABS);
  const next = names[(names.indexOf(tab) + step + names.length) % names.length];
  openTab(next, true);
  document.getElementById(`tab-${next}`)?.focus();
}

function follow() {
  if (!run?.live || !timeline) return;
  timeline.follow = !timeline.follow;
  app.querySelector("[aria-pressed]")?.setAttribute("aria-pressed", String(timeline.follow));
  if (timeline.follow) timeline.rows.choose(timeline.rows.count - 1);
}

function close() {
  run?.live?.close();
  run = timeline = null;
  chosen = -1;
}

/** Open the run that the address names, or the list of runs. */
async function open() {
  const said = address();
  if (run && run.key === said.key && !going) {
    const row = run.spans.rowOf(said.span);
    if (row >= 0 && row !== chosen) timeline?.reveal(row, true), select(row);
    if (said.tab !== tab || said.other !== other) (other = said.other), openTab(said.tab);
    return;
  }
  const now = ++turn;
  going = false;
  close();
  say("");
  const key = said.key || (held ? (await source.about("")).key : "");
  if (!key) {
    document.title = "runs – runbundle";
    app.classList.remove("wide");
    fill(app, h("header", null, h("h1", null, "runs"), helper()),
      h("main", null, runList(source, (name) => (location.hash = `#/run/${encodeURIComponent(name)}`))));
    return;
  }
  fill(detail, nothing("Choose a span to see what it says."));
  try {
    const about = await source.about(key);
    if (now !== turn) return;
    if (about.state) return watch(key, said);
    const spans = parseColumns(await source.columns(key));
    if (now !== turn) return;
    const places = new Map(about.run.files.map((file) => [file.path.replace(/^revisions\/(.*\/)?/, ""), file]));
    run = { key, about, index: about.run, spans, source, live: null,
      sizeOf: (name) => (places.get(name) ?? about.run.files.find((file) => file.path === name))?.bytes ?? 0,
      bytes: async (name, at, count) => {
        try {
          return await source.bytes(key, places.get(name)?.path ?? name, at, count);
        } catch (error) {
          if (error instanceof Refused && error.status === 412) say("This run was sealed anew while you looked at it.");
          throw error;
        }
      } };
    begin(said);
  } catch (error) {
    if (now === turn) fail(error);
  }
}

function begin(said) {
  if (!run) return;
  timeline = new Timeline({ chosen: (row) => select(row), asked: () => remember() });
  timeline.rows.element.addEventListener("wheel", () => timeline?.follow && follow(), { passive: true });
  timeline.show(run.spans);
  other = said.other;
  frame();
  openTab(said.tab);
  if (said.q) timeline.search(said.q);
  const row = said.span ? run.spans.rowOf(said.span) : -1;
  const first = row >= 0 ? row : origin();
  if (said.span && row < 0) say(`There is no span ${said.span} in this run.`);
  if (first >= 0) timeline.reveal(first, true), select(first);
  else if (run.spans.n) timeline.rows.choose(0, true);
  if (tab === "timeline") timeline.rows.element.focus({ preventScroll: true });
  document.documentElement.dataset.ready = "yes";
  const of = run;
  if (!run.live) source.verify(run.key, false).then((said) => of === run && said.dimensions.integrity === "fail" && say("WARNING: this bundle is not what was sealed; Integrity says more. Anybody may have written what is shown."), () => {});
}

/** Watch a run that is not sealed; when it is, show the sealed run, with the same span chosen. */
function watch(key, said) {
  const live = new LiveRun(key, {
    changed: () => {
      if (run?.live !== live) return;
      if (!timeline) return begin(said);
      timeline.show(live.spans, true);
      const count = app.querySelector("header span:not(.pill)");
      if (count) fill(count, plural(live.spans.n, "span"));
    },
    state: (now) => {
      live.name ||= now.name;
      if (run?.live !== live) return;
      if (now.state === "sealed") {
        going = true;
        return open();
      }
      if (now.state === "gone") say("The run is not in the spool any more.");
      app.querySelector("header .pill")?.replaceWith(pill(now.state));
    },
  });
  run = { key, about: {}, index: null, spans: live.spans, source, live, sizeOf: () => 0, bytes: async () => new Uint8Array() };
  fill(app, h("header", null, h("a", { href: "#/" }, "◂ runs"), h("h1", null, "run"), pill("live")), h("main", null, nothing("waiting for the first span…")));
}

let before = "";
document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, select, textarea") || help.open) return;
  const { key } = event;
  const then = before === "g" ? GO[key] : "";
  before = key;
  const acts = { "?": () => help.showModal() };
  if (run && timeline) {
    const at = timeline;
    const blocked = () => Uint8Array.from(at.spans.status, (one) => (at.spans.statuses[one] === "blocked" ? 1 : 0));
    if (then) Object.assign(acts, { [key]: () => openTab(then, true) });
    else Object.assign(acts, { "/": () => (openTab("timeline"), at.query.focus()), n: () => at.marks && at.step(1, at.marks), N: () => at.marks && at.step(-1, at.marks),
      e: () => at.step(1, at.faults()), E: () => at.step(-1, at.faults()), b: () => at.step(1, blocked()), "[": () => at.foldAll(false), "]": () => at.foldAll(true),
      f: () => at.zoom(0, at.spans.end), "+": () => at.scale(0.5), "-": () => at.scale(2), l: follow,
      y: () => navigator.clipboard?.writeText(location.href).then(() => say(""), () => say(location.href)) });
  }
  if (!acts[key]) return;
  event.preventDefault();
  acts[key]();
});

addEventListener("hashchange", open);
addEventListener("popstate", open);
if (held) open();
else enter().then(open, fail);
