/*
 * The parser of Protobuf keeps names in plain objects, and takes what all objects have (`constructor`, `__proto__`) for
 * names that are defined already. So it is given other names in their place.
 */

/** What is added to such a name, and to one that looks like it has been added already. */
const ADDED = '__own';

const UNSAFE = `(?:${Object.getOwnPropertyNames(Object.prototype).join('|')})(?:${ADDED})*`;
const UNSAFE_PARTS = new RegExp(String.raw`(?<![\w])${UNSAFE}(?![\w])`, 'gu');
const MADE_SAFE = new RegExp(String.raw`(?<![\w])(${UNSAFE})${ADDED}(?![\w])`, 'gu');

/** @param word a name, or several with dots between them */
export function safeName(word: string): string {
  return word.replaceAll(UNSAFE_PARTS, (part) => `${part}${ADDED}`);
}

/** The opposite of {@link safeName}, within any text. */
export function ownName(text: string): string {
  return text.replaceAll(MADE_SAFE, '$1');
}
