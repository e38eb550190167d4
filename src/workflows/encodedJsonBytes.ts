/** The bytes of a value as JSON in UTF-8, which it adds to a payload of Temporal. */
export function encodedJsonBytes(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}
