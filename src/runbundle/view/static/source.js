// Where the data come from: the server that sent this page, or the page itself. Both give the same functions.
import { parsed } from "./json.js";

/**
 * @typedef {object} Source
 * @property {(key: string) => Promise<any>} about what the sealed run says of itself: run.json and more
 * @property {(key: string) => Promise<ArrayBuffer>} columns
 * @property {(key: string, path: string, at: number, bytes: number) => Promise<Uint8Array>} bytes
 * @property {(key: string, tab: string, whole?: boolean) => Promise<any>} tab what a tab says, as blocks
 * @property {(query: URLSearchParams) => Promise<any>} runs
 * @property {(key: string, other: string) => Promise<any>} [compare] the report of `diff`; a page that holds its run has none
 */

export const MOST_BYTES = 1_048_576;

/** An answer that is none: what went wrong, in words, and the status of the answer. */
const refused = (message, status = 0) => Object.assign(new Error(message), { status });

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function ask(path, options) {
  const answer = await fetch(path, options).catch(() => {
    throw refused("The server does not answer; was it ended?");
  });
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  throw refused([said.error ?? `The server answered ${answer.status}.`, said.hint].filter(Boolean).join("; "), answer.status);
}

/** A key as a part of an address. @param {string} key */
export const address = (key) => key.split("/").map(encodeURIComponent).join("/");

/** @returns {Source} */
export function liveSource() {
  /** @type {Map<string, string>} */
  const tags = new Map();
  const read = async (key, path) => {
    const answer = await ask(path, { headers: { "if-match": tags.get(key) ?? "*" } });
    tags.set(key, answer.headers.get("etag") ?? "*");
    return answer.arrayBuffer();
  };
  return {
    about: async (key) => {
      const answer = await ask(`api/about/${address(key)}`);
      tags.set(key, answer.headers.get("etag") ?? "*");
      return answer.json();
    },
    columns: (key) => read(key, `api/columns/${address(key)}`),
    bytes: async (key, file, at, bytes) => new Uint8Array(await read(key, `api/bytes/${address(key)}?${new URLSearchParams(/** @type {any} */ ({ file, at, bytes }))}`)),
    tab: async (key, name, whole) => (await ask(`api/tab/${name}/${address(key)}${whole ? "?whole=1" : ""}`)).json(),
    runs: async (query) => (await ask("api/runs", { headers: { "runbundle-filter": String(query) } })).json(),
    compare: async (key, other) => parsed(await (await ask(`api/compare/${address(key)}?with=${encodeURIComponent(other)}`)).text()),
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
  const piece = ([, , from, count]) => {
    const made = open.get(from) ?? unpacked(decoded(packed.slice(from, from + count)));
    if (open.size > 8) open.clear();
    open.set(from, made);
    return made;
  };
  return {
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
      if (!got && bytes) throw refused("This part was left out to keep the file small.", 404);
      return out.subarray(0, got);
    },
    tab: async (_key, name) => held.tabs[name],
    runs: async () => ({ runs: [] }),
  };
}
