// The runs of a store, newest first, with the filters of `runbundle ls`.
import { button, fill, h, mood, plural, shown, sign, took, when, texts } from "./h.js";
import { Rows } from "./rows.js";

const STATUS = ["", "ok", "error", "blocked", "cancelled", "interrupted", "incomplete", "abandoned", "waiting"];
const STATE = ["all", "sealed", "unsealed", "live", "waiting", "crashed", "quarantined", "failed"];

export function runList(source, open) {
  let runs = [];
  let asked = 0;
  const said = h("p", { class: "note", role: "status" });
  const list = new Rows({ label: "Runs", kind: "runs", columns: ["Status", "Began", "Run", "Tenant", "Took", "Tools", "Models"], height: 26,
    draw: (row, cells, at) => {
      const run = runs[at];
      const word = run.state === "sealed" ? run.status : run.state;
      const cut = run.key.lastIndexOf("/");
      texts(cells, `${sign(word)} ${shown(word, 30)}`,
        run.started_at ? when(run.started_at) : "–",
        `${shown(run.key.slice(cut + 1), 60)}${run.name ? `  ${shown(run.name, 60)}` : ""}`,
        cut < 0 ? "" : shown(run.key.slice(0, cut), 60),
        run.duration_ns ? took(Number(run.duration_ns) / 1000) : "–",
        run.tools?.length ? shown(run.tools.join(", "), 100) : run.tool_calls ? String(run.tool_calls) : "–",
        run.model_calls ? String(run.model_calls) : "–");
      cells[0].className = mood(word);
    },
    opened: (at) => open(runs[at].key) });
  const more = button("older runs", () => load(true), { hidden: true });
  const form = /** @type {HTMLFormElement} */ (h("form", { class: "tools", onsubmit: (event) => event.preventDefault(), oninput: () => load(false) },
    choice("status", STATUS, "any status"), choice("state", STATE, "any state"),
    field("text", "text in id, name, error"), field("tool", "tool"), field("agent", "agent"), field("since", "since: 2d, 2026-11-25"), more, said));
  async function load(older) {
    const turn = ++asked;
    const query = new URLSearchParams();
    new FormData(form).forEach((value, name) => value && query.set(name, String(value)));
    if (older) query.set("after", runs.at(-1).key);
    try {
      const answer = await source.runs(query);
      if (turn !== asked) return;
      runs = older ? [...runs, ...answer.runs] : answer.runs;
      more.hidden = !answer.more;
      fill(said, runs.length ? `${plural(runs.length, "run")} of ${shown(answer.store)}${answer.more ? `, ${plural(answer.more, "older one")}` : ""}` : `${shown(answer.store)} holds no such runs.`);
      list.show(runs.length);
      if (!older && runs.length) list.choose(0, true);
    } catch (error) {
      if (turn === asked) fill(said, shown(error.message, 300));
    }
  }
  load(false);
  setTimeout(() => list.element.focus());
  return h("div", { class: "list" }, form, list.element);
}

const choice = (name, words, none) =>
  h("select", { name, "aria-label": name }, words.map((word) => h("option", { value: word === "all" ? "" : word }, word === "all" || !word ? none : word)));

const field = (name, hint) => h("input", { name, placeholder: hint, "aria-label": name, type: "search", autocomplete: "off", spellcheck: "false" });
