import fc from 'fast-check';
import { expect, test } from 'vitest';
import { joinBodies, joinChunks, splitChunks } from '../../../src/protocol/chunkBodies.js';

const withBodies = fc.array(
  fc.uint8Array({ maxLength: 20 }).map((body) => ({
    chunk: { segments: [], keep: [], records: 1, bytes: 1, bodyBytes: body.length },
    body,
  })),
);

test('every chunk gets its own body again, also where bodies are empty', () => {
  fc.assert(
    fc.property(withBodies, (chunks) => {
      expect(splitChunks(joinChunks(chunks))).toEqual(chunks);
    }),
  );
});

test('bodies stand one after the other, without anything between them', () => {
  fc.assert(
    fc.property(withBodies, (chunks) => {
      expect([...joinBodies(chunks)]).toEqual(chunks.flatMap(({ body }) => [...body]));
    }),
  );
});
