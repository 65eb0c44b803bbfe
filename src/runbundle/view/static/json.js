// JSON as it was written. JavaScript's own parser rounds integers above 2**53, as many ids are, and makes 1 of 1.0.

const PIECE = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g;
// Drawn by lot, so that no text can pass for a number.
const MARK = `${Math.random()}:`;
const MARKED = new RegExp(`"${MARK}(.+?)"`, "g");

/**
 * Read JSON text. A number that JavaScript would write differently is a String object of its digits.
 * @param {string} text
 */
export const parsed = (text) => JSON.parse(text.replace(PIECE, (one) => (one.startsWith("\"") || String(+one) === one ? one : `"${MARK}${one}"`)),
  (_, one) => (one?.startsWith?.(MARK) ? new String(one.slice(MARK.length)) : one));

/**
 * Write what was read.
 * @param {any} value
 * @param {number} [indent]
 */
export const written = (value, indent) => JSON.stringify(value, (_, one) => (one instanceof String ? MARK + one : one), indent).replace(MARKED, "$1");
