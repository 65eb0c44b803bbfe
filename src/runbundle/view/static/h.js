// Elements, and text as it may be shown. Nothing here or elsewhere parses markup: children are nodes or text.

/**
 * Make an element. `on…` properties are listeners, `class` is the class; other properties are attributes.
 * @param {string} tag
 * @param {any} [props] may be left out
 * @param {...any} children
 * @returns {HTMLElement}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  const given = props?.constructor === Object;
  set(element, given ? props : {});
  put(element, given ? children : [props, children]);
  return element;
}

/**
 * Set properties of an element as `h` does. What is false is taken away, but for `aria-…`, which say it.
 * @param {Element} element
 * @param {Record<string, any>} props
 */
export function set(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if ((value ?? false) === false && !(name.startsWith("aria") && value === false)) element.removeAttribute(name);
    else if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name !== "href" || /^#/.test(value)) element.setAttribute(name, value);
  }
}

/**
 * Append children to an element, text as text.
 * @param {Element} element
 * @param {any[]} children
 */
export function put(element, children) {
  for (const child of children.flat(9)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/**
 * Replace what an element holds.
 * @param {Element} element
 * @param {...any} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  put(element, children);
}

/**
 * Make a button.
 * @param {any} text
 * @param {(event: any) => void} act
 * @param {Record<string, any>} [props]
 */
export const button = (text, act, props) => h("button", { type: "button", onclick: act, ...props }, text);

/** Make a paragraph that is aside. @param {any[]} words */
export const note = (...words) => h("p", { class: "note" }, words);

/** Set the texts of cells. @param {HTMLElement[]} cells @param {any[]} words */
export const texts = (cells, ...words) => words.forEach((word, at) => (cells[at].textContent = word));

/** Return a number with its thousands apart; one with a part, such as a score, as it is. @param {number} count */
export const num = (count) => (count % 1 ? String(count) : count.toLocaleString("en"));

const ODD = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/gu;

/** @param {string} sign */
const named = (sign) => `⟨U+${(sign.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}⟩`;

/**
 * Return text on one line: characters that are invisible, or turn the order of others around, are named; cut at `most`.
 * @param {unknown} value
 * @param {number} [most]
 */
export function shown(value, most = 200) {
  const text = String(value ?? "");
  const cut = text.length > most ? `${text.slice(0, most)}…` : text;
  return cut.replace(ODD, named);
}

/**
 * Return text of several lines, likewise.
 * @param {string} text
 * @param {number} [most]
 */
export const block = (text, most = 100_000) =>
  text.slice(0, most).replace(ODD, (sign) => (sign === "\n" ? sign : named(sign))) + (text.length > most ? `\n… ${text.length - most} more characters` : "");

/**
 * Return a duration for people. NaN is one that has not ended.
 * @param {number} us microseconds
 */
export function took(us) {
  if (Number.isNaN(us)) return "open";
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 60e6) return us < 1e6 ? `${(us / 1e3).toPrecision(3)} ms` : `${(us / 1e6).toPrecision(3)} s`;
  const whole = Math.round(us / 1e6);
  const [h, m, s] = [whole / 3600, (whole / 60) % 60, whole % 60].map((n) => String(Math.floor(n)).padStart(2, "0"));
  return h === "00" ? `${m} m ${s} s` : `${h} h ${m} m`;
}

/**
 * Return a number of bytes for people.
 * @param {number} bytes
 */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const step = Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1000 ** step).toPrecision(3)} ${" kMGT"[step]}B`;
}

/**
 * Return a count with its noun.
 * @param {number} count
 * @param {string} noun
 */
export const plural = (count, noun) =>
  `${num(count)} ${noun}${count === 1 ? "" : "s"}`;

/**
 * Return a moment as this machine's clock shows it, with its zone.
 * @param {string} moment RFC 3339
 */
export const when = (moment) => new Date(moment).toLocaleString("sv", { timeZoneName: "short" });

const OPS = { run: "R", agent: "A", step: "S", tool: "T", model: "M", retrieval: "D", other: "·" };
/** @param {string} op */
export const letter = (op) => OPS[/** @type {keyof typeof OPS} */ (op)] ?? "·";

const SIGNS = Object.entries({ "✓": "ok verified unchanged pass approved allowed sealed complete", "–": "unset skipped", "✕": "error fail failed",
  "⊘": "blocked denied quarantined", "⊗": "cancelled", "↯": "interrupted abandoned crashed", "…": "open waiting", "!": "warn lossy", "●": "live", "+": "added", "−": "removed", "~": "changed", "↕": "moved" });

/** @param {string} word */
export const sign = (word) => SIGNS.find(([, words]) => words.split(" ").includes(word))?.[0] ?? "?";

/**
 * Return the class for a word of status: its colour goes with its sign, never alone.
 * @param {string} word
 */
export const mood = (word) => ("✓+".includes(sign(word)) ? "good" : "–↕".includes(sign(word)) ? "quiet" : "✕⊘⊗↯−".includes(sign(word)) ? "bad" : "doubt");

/**
 * Return a status as a sign and a word.
 * @param {string} word
 */
export const pill = (word) => h("span", { class: `pill ${mood(word)}` }, `${sign(word)} ${shown(word, 40)}`);

/** A plain table. @param {string} label @param {string[]} columns @param {any[][]} rows */
export const table = (label, columns, rows) =>
  h("table", { "aria-label": label }, h("thead", h("tr", columns.map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", rows.map((cells) => h("tr", cells.map((cell) => h("td", cell instanceof Node ? cell : shown(cell, 300)))))));
