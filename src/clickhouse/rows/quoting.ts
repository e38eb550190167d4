/** A JSON string of a text, with one character per byte of its UTF-8. */
export function quote(text: string): string {
  return quoteBytes(Buffer.from(text));
}

/** A JSON string of a text that has one character per byte already. */
export function quoteLatin1(text: string): string {
  return JSON.stringify(text);
}

/** A JSON string with the bytes unchanged, even if they are no UTF-8. Strings of ClickHouse are bytes, too. */
export function quoteBytes(bytes: Buffer | null): string {
  return bytes === null ? 'null' : quoteLatin1(bytes.toString('latin1'));
}
