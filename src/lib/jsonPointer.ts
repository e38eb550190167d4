/** The reference tokens of a JSON pointer (RFC 6901): `/customer/id` is `customer`, `id`. */
export function pointerTokens(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** Whether a token is an index of an array, from 0. */
export function isArrayIndex(token: string): boolean {
  return /^(0|[1-9]\d*)$/.test(token);
}

/** The value that a JSON pointer leads to, in a result of `JSON.parse`. Undefined if there is none. */
export function valueAtPointer(value: unknown, tokens: readonly string[]): unknown {
  let current = value;
  for (const token of tokens) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, token)) return undefined;
    if (Array.isArray(current) && !isArrayIndex(token)) return undefined;
    current = (current as Record<string, unknown>)[token];
  }
  return current;
}
