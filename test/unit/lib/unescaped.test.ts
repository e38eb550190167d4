import { expect, it } from 'vitest';
import { unescaped } from '../../../src/lib/unescaped.js';

it.each([
  ['plain', 'plain'],
  [String.raw`a\`b`, 'a`b'],
  [String.raw`\\n`, String.raw`\n`],
  [String.raw`\n\t\r\b\f\0`, '\n\t\r\b\f\0'],
  [String.raw`it\'s`, "it's"],
])('what ClickHouse prints as %s is %j', (text, expected) => {
  expect(unescaped(text)).toBe(expected);
});
