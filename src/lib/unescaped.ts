/**
 * A text as ClickHouse prints it between quotes, without its escapes.
 *
 * Source: `writeAnyEscapedString` of ClickHouse.
 */
export function unescaped(text: string): string {
  return text.replaceAll(/\\([^])/g, (_, character: string) => CONTROL_CHARACTERS[character] ?? character);
}

const CONTROL_CHARACTERS: Readonly<Record<string, string>> = {
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  '0': '\0',
};
