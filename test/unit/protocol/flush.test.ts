import fc from 'fast-check';
import { expect, it } from 'vitest';
import { openEnvelope, sealEnvelope } from '../../../src/protocol/flush.js';

it('carries JSON and bytes in one payload', () => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.uint8Array(), (json, bytes) => {
      const { json: opened, bytes: rest } = openEnvelope(sealEnvelope(json, bytes));
      expect(opened).toEqual(JSON.parse(JSON.stringify(json)));
      expect(Buffer.from(rest)).toEqual(Buffer.from(bytes));
    }),
  );
});
