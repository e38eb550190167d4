import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Room } from '../../../../src/kafka/kafkajs/room.js';

const BYTES = 100;
const never = new AbortController().signal;

it('those who wait are let in in the order in which they came, and nobody overtakes them', async () => {
  const room = new Room(BYTES);
  const entered: string[] = [];
  const enter = (name: string, bytes: number) => void room.take(bytes, never).then(() => entered.push(name));
  expect(room.tryTake(60)).toBe(true);
  enter('large', 100);
  enter('small', 10);
  expect(room.tryTake(10)).toBe(false);
  await Promise.resolve();
  expect(entered).toEqual([]);
  room.giveBack(60);
  await new Promise(setImmediate);
  expect(entered).toEqual(['large']);
  room.giveBack(100);
  await new Promise(setImmediate);
  expect(entered).toEqual(['large', 'small']);
});

it('one who leaves the line lets in those after him, and takes nothing', async () => {
  const room = new Room(BYTES);
  const leaving = new AbortController();
  room.tryTake(60);
  const large = room.take(100, leaving.signal);
  const small = room.take(40, never);
  leaving.abort();
  expect(await large).toBe(false);
  expect(await small).toBe(true);
  room.giveBack(100);
  expect(room.tryTake(BYTES)).toBe(true);
  expect(await room.take(1, leaving.signal)).toBe(false);
});

it('does not listen any more to the signal of one who was let in', async () => {
  const room = new Room(BYTES);
  const { signal } = new AbortController();
  room.tryTake(BYTES);
  const entered = room.take(BYTES, signal);
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  room.giveBack(BYTES);
  await entered;
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

it('is never overfull, and lets everybody in if each gives back what he took', async () => {
  const visits = fc.array(
    fc.record({ bytes: fc.integer({ min: 0, max: BYTES }), stays: fc.nat(5), leaves: fc.nat(9) }),
  );
  await fc.assert(
    fc.asyncProperty(visits, async (all) => {
      const room = new Room(BYTES);
      let taken = 0;
      const visit = async ({ bytes, stays, leaves }: { bytes: number; stays: number; leaves: number }) => {
        const leaving = new AbortController();
        // Half of them may leave the line.
        if (leaves < 5) setImmediate(() => leaving.abort());
        if (!(await room.take(bytes, leaving.signal))) return;
        taken += bytes;
        expect(taken).toBeLessThanOrEqual(BYTES);
        for (let left = stays; left > 0; left--) await new Promise(setImmediate);
        taken -= bytes;
        room.giveBack(bytes);
      };
      await Promise.all(all.map(visit));
      expect(room.tryTake(BYTES)).toBe(true);
    }),
  );
});
