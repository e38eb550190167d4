import fc from 'fast-check';
import { expect, it } from 'vitest';
import { AckValues } from '../../../src/codecs/ackValues.js';
import { REJECTION_CODES } from '../../../src/protocol/ack.js';

const source = { topic: 'or"ders', partition: 3 };

it('writes acknowledgements as JSON, whatever topics and messages contain', () => {
  expect(JSON.parse(String(new AckValues(source, 'inserted', 'b1').of(42)))).toEqual({
    status: 'inserted',
    topic: 'or"ders',
    partition: 3,
    offset: 42,
    batch: 'b1',
  });
  const rejection = { code: REJECTION_CODES.notJson, message: 'say "no"\n' };
  expect(JSON.parse(String(new AckValues(source, 'rejected', 'b1').of(42, rejection)))).toMatchObject({
    ...rejection,
    status: 'rejected',
  });
});

it('writes what JSON.stringify would write, whatever was written before', () => {
  const rejection = { code: REJECTION_CODES.notJson, message: 'é "no"' };
  const offset = fc.oneof(
    fc.nat(20),
    fc.nat(),
    fc.maxSafeNat(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
  );
  const steps = fc.array(fc.tuple(offset, fc.constantFrom(undefined, rejection)), { size: 'large' });
  fc.assert(
    fc.property(steps, (list) => {
      const values = new AckValues({ topic: 'ördérs"', partition: 3 }, 'inserted', 'b"1');
      for (const [at, why] of list) {
        const written = { status: 'inserted', topic: 'ördérs"', partition: 3, offset: at, batch: 'b"1', ...why };
        expect(String(values.of(at, why))).toBe(JSON.stringify(written));
      }
    }),
  );
});
