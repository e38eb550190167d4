const KEY_BYTES = 32;

/** The id of a key. It stands in each payload and in logs, where whatever else it has would be cut off or replaced. */
export const KEY_ID = /^[a-zA-Z0-9][a-zA-Z0-9_-]{0,31}$/;
/** What is wrong with an id that is none. */
export const NO_KEY_ID = 'a key is named with a-z, A-Z, 0-9, dash, underscore; 32 at most';

/** A key of 32 bytes, in base64 or as hexadecimal digits. Null if it is none. */
export function parseKey(text: string): Uint8Array | null {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex');
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return null;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === KEY_BYTES ? bytes : null;
}
