// Where the data come from: the server that sent this page, or the page itself. Both give the same functions.

/**
 * @typedef {object} Source
 * @property {boolean} sealedIn whether everything lies in this one file
 * @property {(key: string) => Promise<any>} about what the sealed run says of itself: run.json and more
 * @property {(key: string) => Promise<ArrayBuffer>} columns
 * @property {(key: string, path: string, at: number, bytes: number) => Promise<Uint8Array>} bytes
 * @property {(key: string, whole: boolean) => Promise<any>} verify
 * @property {(query: URLSearchParams) => Promise<any>} runs
 * @property {(key: string) => Promise<any>} scores
 * @property {(key: string, other: string) => Promise<any>} compare
 */

export const MOST_BYTES = 1_048_576;
const KEPT = 200;

/** An answer that is none: what went wrong, in words. */
export class Refused extends Error {
  /**
   * @param {string} message
   * @param {number} status
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch {
    throw new Refused("The server does not answer. Was runbundle view ended?", 0);
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw new Refused(String(said.error ?? `The server answered ${answer.status}.`), answer.status);
}

/** @param {string} key */
const path = (key) => key.split("/").map(encodeURIComponent).join("/");

/** @returns {Source} */
export function liveSource() {
  /** @type {Map<string, string>} */
  const tags = new Map();
  /** @type {Map<string, Promise<Uint8Array>>} */
  const kept = new Map();
  return {
    sealedIn: false,
    about: async (key) => {
      const answer = await ask(`api/about/${path(key)}`);
      tags.set(key, answer.headers.get("etag") ?? "");
      kept.clear();
      return answer.json();
    },
    columns: async (key) => (await ask(`api/columns/${path(key)}`, { headers: { "if-match": tags.get(key) ?? "*" } })).arrayBuffer(),
    bytes: (key, file, at, bytes) => {
      const query = `${path(key)}?file=${encodeURIComponent(file)}&at=${at}&bytes=${bytes}`;
      const known = kept.get(query);
      if (known) return known;
      const answer = ask(`api/bytes/${query}`, { headers: { "if-match": tags.get(key) ?? "*" } }).then(async (found) => new Uint8Array(await found.arrayBuffer()));
      kept.set(query, answer);
      answer.catch(() => kept.delete(query));
      const oldest = kept.keys().next().value;
      if (kept.size > KEPT && oldest !== undefined) kept.delete(oldest);
      return answer;
    },
    verify: async (key, whole) => (await ask(`api/verify/${path(key)}${whole ? "?whole=1" : ""}`)).json(),
    runs: async (query) => (await ask(`api/runs?${query}`)).json(),
    scores: async (key) => (await ask(`api/scores/${path(key)}`)).json(),
    compare: async (key, other) => (await ask(`api/compare/${path(key)}?with=${encodeURIComponent(other)}`)).json(),
  };
}

/**
 * Exchange the token in the address for a cookie. The token is taken out of the address at once.
 * @returns {Promise<void>}
 */
export async function enter() {
  const found = /^#token=([\w-]+)(.*)$/.exec(location.hash);
  if (!found) return;
  history.replaceState(null, "", found[2] ? `#${found[2].replace(/^&/, "")}` : location.pathname);
  await ask("api/enter", { method: "POST", headers: { authorization: `Bearer ${found[1]}` } });
}

/** @param {string} text */
function decoded(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let at = 0; at < raw.length; at++) bytes[at] = raw.charCodeAt(at);
  return bytes;
}

/** @param {Uint8Array} packed */
async function unpacked(packed) {
  const stream = new Blob([/** @type {BlobPart} */ (packed)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * The source of a page that holds its run: `held` names the pieces of `packed`, each gzip in base64.
 * @param {any} held
 * @param {string} packed
 * @returns {Source}
 */
export function heldSource(held, packed) {
  /** @type {Map<number, Promise<Uint8Array>>} */
  const open = new Map();
  /** @param {[number, number, number, number]} piece place in the file, bytes, place in `packed`, characters */
  const piece = (piece) => {
    const known = open.get(piece[2]);
    if (known) return known;
    const made = unpacked(decoded(packed.slice(piece[2], piece[2] + piece[3])));
    open.set(piece[2], made);
    const oldest = open.keys().next().value;
    if (open.size > 8 && oldest !== undefined) open.delete(oldest);
    return made;
  };
  return {
    sealedIn: true,
    about: async () => held.about,
    columns: async () => /** @type {ArrayBuffer} */ ((await piece(held.columns)).buffer),
    bytes: async (_key, file, at, bytes) => {
      const out = new Uint8Array(bytes);
      let got = 0;
      for (const one of held.files[file] ?? []) {
        if (one[0] + one[1] <= at || one[0] >= at + bytes) continue;
        const data = await piece(one);
        const from = Math.max(at, one[0]);
        const part = data.subarray(from - one[0], Math.min(at + bytes, one[0] + one[1]) - one[0]);
        out.set(part, from - at);
        got += part.length;
      }
      if (!got && bytes) throw new Refused("This part was left out to keep the file small.", 404);
      return out.subarray(0, got);
    },
    verify: async () => held.verify,
    runs: async () => ({ runs: [] }),
    scores: async () => held.scores,
    compare: async () => ({}),
  };
}
