/** Bytes that a value takes as JSON in UTF-8: what it adds to a payload of Temporal's. */
export function encodedJsonBytes(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}
