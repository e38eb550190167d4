import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import { expect, it } from 'vitest';
import type { KafkaAdmin } from '../../../src/kafka/admin.js';
import { FetchedBatch } from '../../../src/kafka/kafkajs/fetchedBatch.js';
import { UnreadableBatchError, type RecordSetPart } from '../../../src/kafka/kafkajs/recordSet.js';
import { readRanges, type PassedOver } from '../../../src/kafka/readRanges.js';
import { fetchedRecord } from '../../support/records.js';

const orders = { topic: 'orders', partition: 0 };
const admin = { deleteGroups: () => Promise.resolve([]) } as unknown as KafkaAdmin;

/** Hands out one part a fetch, whatever becomes of it. */
function kafkaOf(parts: readonly RecordSetPart[]): { readonly kafka: Kafka; fetches: () => number } {
  let fetches = 0;
  const done = (): Promise<void> => Promise.resolve();
  const run = async ({ eachBatch }: { eachBatch: (payload: EachBatchPayload) => Promise<void> }): Promise<void> => {
    for (const part of parts) {
      fetches++;
      const batch = new FetchedBatch({ ...orders, highWatermark: '9', fetchedOffset: '0', rawMessages: [] }, part);
      await eachBatch({ batch, isRunning: () => true, heartbeat: done } as unknown as EachBatchPayload);
    }
  };
  const consumer = { events: {}, on: () => undefined, pause: () => undefined, run };
  const all = { ...consumer, connect: done, subscribe: done, disconnect: done } as unknown as Consumer;
  return { kafka: { consumer: () => all } as unknown as Kafka, fetches: () => fetches };
}

async function read(parts: readonly RecordSetPart[]) {
  const offsets: number[] = [];
  const unreadable: PassedOver[] = [];
  const { kafka, fetches } = kafkaOf(parts);
  const error = await readRanges(kafka, admin, [{ ...orders, from: 1, to: 6 }], {
    record: ({ offset }) => offsets.push(offset) < 0,
    passedOver: (part) => unreadable.push(part),
  }).catch((reason: unknown) => String(reason));
  return { offsets, unreadable, error, fetches: fetches() };
}

const sound = (from: number, next: number): RecordSetPart => {
  const records = Array.from({ length: next - from }, (_, index) => fetchedRecord(from + index, 0, null, null));
  return { from, next, records, failure: null };
};
const damaged: RecordSetPart = { from: 3, next: 3, records: [], failure: new UnreadableBatchError('damaged') };
const asWritten = (from: number, next: number): RecordSetPart => {
  return { from, next, records: [], failure: new UnreadableBatchError('too large', { isAsWritten: true }) };
};

it('what may have been damaged on its way is fetched again, as the daemon does, before the read fails', async () => {
  expect(await read([sound(1, 3), damaged, damaged, sound(3, 6)])).toEqual({
    offsets: [1, 2, 3, 4, 5],
    unreadable: [],
    error: undefined,
    fetches: 4,
  });
  const { error, offsets } = await read([sound(1, 3), damaged, damaged, damaged, sound(3, 6)]);
  expect(offsets).toEqual([1, 2]);
  expect(error).toContain('the log was not read to its end: orders/0 was read up to offset 3 of 6; damaged');
});

it('what is as its producer wrote it is passed over, and told once and for the offsets that were asked for', async () => {
  expect(await read([asWritten(0, 3), asWritten(1, 3), sound(3, 5), asWritten(5, 9)])).toMatchObject({
    offsets: [3, 4],
    unreadable: [
      { ...orders, from: 1, to: 3, reason: 'too large' },
      { ...orders, from: 5, to: 6, reason: 'too large' },
    ],
    error: undefined,
  });
});
