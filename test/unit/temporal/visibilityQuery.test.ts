import fc from 'fast-check';
import { expect, it } from 'vitest';
import { batcherWorkflowId } from '../../../src/protocol/batcherId.js';
import { isKeyFunction } from '../../../src/protocol/layout.js';
import { quotedText } from '../../../src/temporal/visibilityQuery.js';

/** Reads a text of a query as Temporal does: a backslash, or a second apostrophe, takes the next character as it is. */
function read(quoted: string): string {
  expect(quoted).toMatch(/^'(?:[^'\\]|''|\\.)*'$/s);
  return quoted.slice(1, -1).replace(/''|\\(.)/gs, (pair, next?: string) => next ?? pair.slice(1));
}

it('a text stays one text in a query, whatever characters it has', () => {
  expect(quotedText("ktb:orders:8-header%3Ao'brien:0")).toBe("'ktb:orders:8-header%3Ao''brien:0'");
  const unit = fc.constantFrom("'", '\\', '"', '%', 'a', ' OR ');
  fc.assert(
    fc.property(fc.string({ unit }), (text) => {
      expect(read(quotedText(text))).toBe(text);
    }),
  );
});

it('a workflow id keeps the apostrophes of shardBy, and no backslash', () => {
  const keyFunction = String.raw`header:o'br\ien`;
  expect(isKeyFunction(keyFunction)).toBe(true);
  if (isKeyFunction(keyFunction))
    expect(batcherWorkflowId('orders', { batchers: 8, keyFunction }, 0)).toBe("ktb:orders:8-header%3Ao'br%5Cien:0");
});
