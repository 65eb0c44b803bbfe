// The runs of a store, with the filters of `runbundle ls`.
import { button, fill, h, mood, note, plural, shown, sign, took, when, texts } from "./h.js";
import { Rows } from "./rows.js";

const STATUS = "ok error blocked cancelled interrupted incomplete abandoned waiting unsealed";
const STATE = "sealed unsealed unreadable live waiting crashed quarantined failed";
const FIELDS = { error: "error text", "tool-error": "failed tool, or *", since: "since: 2d, yesterday", text: "text in id or name" };
const MORE = { name: "name", tool: "tool", model: "model", agent: "agent", trace: "trace id", "min-duration": "at least: 2s", until: "until: 1h",
  tenant: "tenant", user: "raw user id", session: "raw session id", parent: "outer run", score: "helpfulness < 0.5", where: "tool.refund.calls > 2" };
/** Never in the address: they may name a person. */
const RAW = ["user", "session"];

const choice = (name, words) =>
  h("select", { name, "aria-label": name }, h("option", { value: "" }, `any ${name}`), words.split(" ").map((word) => h("option", word)));
const fields = (hints) => Object.entries(hints).map(([name, hint]) =>
  h("input", { name, placeholder: hint, "aria-label": name, title: name, type: "search", autocomplete: "off", spellcheck: "false" }));

/** Return the list, and a function that shows it by the filters of an address; by those of before, if it has none. */
export function runList(source, open) {
  let runs = [];
  let asked = 0;
  const said = h("div", { class: "note", role: "status" });
  const list = new Rows({ label: "Runs", kind: "runs", columns: ["Status", "Began", "Run", "Tenant", "Took", "Why", "Tools"], height: 26,
    draw: (row, cells, at) => {
      const run = runs[at];
      const word = run.status || run.state;
      const cut = run.key.lastIndexOf("/");
      texts(cells, `${sign(word)} ${shown(word, 30)}`, run.started_at ? when(run.started_at) : "–",
        `${shown(run.key.slice(cut + 1), 60).slice(0, 12)}  ${shown(run.name, 60)}`, cut < 0 ? "" : shown(run.key.slice(0, cut), 60),
        run.duration_ns ? took(run.duration_ns / 1000) : "–", shown(run.said, 300), shown(run.tools?.join(", "), 100));
      cells[5].title = shown(run.said, 1000);
      cells[0].className = mood(word);
    },
    opened: (at) => open(runs[at].key) });
  const more = button("older runs", () => load(true), { hidden: true });
  const form = /** @type {HTMLFormElement} */ (h("form", { class: "tools", onsubmit: (event) => event.preventDefault(), oninput: () => load() },
    choice("status", STATUS), choice("state", STATE), fields(FIELDS), h("details", h("summary", "more filters"), fields(MORE)), more, said));
  async function load(older = false) {
    const turn = ++asked;
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value).map(([name, value]) => [name, String(value)]));
    const shared = new URLSearchParams([...query].filter(([name]) => !RAW.includes(name)));
    history.replaceState(null, "", `#/${shared.size ? `?${shared}` : ""}`);
    if (older) query.set("after", runs.at(-1).key);
    try {
      const answer = await source.runs(query);
      if (turn !== asked) return;
      runs = older ? [...runs, ...answer.runs] : answer.runs;
      more.hidden = !answer.more;
      fill(said, runs.length ? `${plural(runs.length, "run")} of ` : "no such runs in ", shown(answer.store), answer.more > 0 && `, ${plural(answer.more, "older one")}`,
        answer.notes.map((text) => note(shown(text, 300))));
      list.show(runs.length);
      if (!older && runs.length) list.choose(0, true);
    } catch (error) {
      if (turn === asked) fill(said, shown(error.message, 400));
    }
  }
  const show = (query) => {
    const given = new URLSearchParams(query);
    if (query) for (const field of /** @type {any} */ (form.elements)) field.value = given.get(field.name) ?? "";
    load();
    setTimeout(() => list.element.focus());
  };
  return { element: h("div", { class: "list" }, form, list.element), show };
}
