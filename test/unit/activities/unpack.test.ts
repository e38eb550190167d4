import { pino } from 'pino';
import { expect, it } from 'vitest';
import type { Attempt } from '../../../src/activities/attempt.js';
import { decodeChunks } from '../../../src/activities/batchRecords.js';
import { BatchMemos } from '../../../src/activities/memos.js';
import { divideChunks, Unpacker } from '../../../src/activities/unpack.js';
import { UnpackRoom } from '../../../src/codecs/packing.js';
import type { OutgoingMessage } from '../../../src/kafka/outgoingMessage.js';
import type { Publisher } from '../../../src/kafka/publisher.js';
import type { BufferedChunk } from '../../../src/protocol/chunk.js';
import { joinChunks } from '../../../src/protocol/chunkBodies.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { chunkOf, settings } from '../../support/chunks.js';
import { record } from '../../support/records.js';

/** A chunk of one record, which came encrypted or not. */
function chunk(offset: number, more: Pick<BufferedChunk, 'encrypted'> = {}, value?: Buffer) {
  const segment = {
    topic: 'orders',
    partition: 0,
    epoch: 'e',
    from: offset - 1,
    to: offset,
    records: [record(offset, value === undefined ? {} : { value })],
  };
  const { meta, body } = chunkOf(segment);
  const { segments, records, bytes } = meta;
  return { chunk: { segments, keep: [null], records, bytes, bodyBytes: body.length, ...more }, body };
}

const packed = joinChunks([chunk(0, { encrypted: true }), chunk(1), chunk(2, { encrypted: true })]);
const batch = { pipeline: 'orders', batcher: 'ktb:orders:8-key:0', id: 'b', destination: settings().destination };
const attempt = { activityKey: 'a', mustBeAlive: () => undefined } as unknown as Attempt;

function unpacker(requiresEncryption: boolean) {
  const letters: OutgoingMessage[] = [];
  const publisher = {
    publish: (_topic: string, messages: OutgoingMessage[]) => Promise.resolve(void letters.push(...messages)),
  } as unknown as Publisher;
  const metrics = createMetrics({ runtime: false });
  const logger = pino({ level: 'silent' });
  return {
    letters,
    unpacker: new Unpacker({ publisher, metrics, logger, memos: new BatchMemos(), requiresEncryption }),
  };
}

const offsets = ({ records }: { records: readonly { record: { offset: number } }[] }) =>
  records.map(({ record: { offset } }) => offset);

it('where encryption is required, a batch waits that has anything unencrypted, and says what to do', async () => {
  const { unpacker: strict } = unpacker(true);
  await expect(strict.unpack(batch, packed, attempt)).rejects.toThrow(
    /^1 records of the batch came unencrypted.*required: false.*ktb park/,
  );
  expect(offsets(await unpacker(false).unpacker.unpack(batch, packed, attempt))).toEqual([0, 1, 2]);
});

it('a person gives up what is unencrypted, and only that', async () => {
  const { unpacker: strict, letters } = unpacker(true);
  const parking = { reason: 'not ours' };
  expect(offsets(await strict.unpack({ ...batch, parking }, packed, attempt))).toEqual([0, 2]);
  expect(letters.map(({ value }) => value)).toEqual([chunk(1).body]);
});

it('chunks that only together take too much memory are divided, too: those that can be unpacked together are inserted', async () => {
  const large = (offset: number) => chunk(offset, {}, Buffer.alloc(600 * 1024));
  const many = joinChunks([large(0), large(1), chunk(2)]);
  const room = () => new UnpackRoom(1024 * 1024);
  await expect(decodeChunks(many, room())).rejects.toThrow('cannot be decompressed');
  const { readable, unreadable } = await divideChunks(many, decodeChunks, room());
  expect(unreadable.map(({ chunk }) => chunk.segments[0]?.to)).toEqual([1]);
  expect(await decodeChunks(readable, room())).toHaveLength(2);
});

it('where encryption is required, nothing is done with settings that came unencrypted: not even a given-up batch is', () => {
  const { unpacker: strict } = unpacker(true);
  expect(() => strict.mustBeSealed({})).toThrow(/came unencrypted.*required: false.*terminate it/);
  expect(() => strict.mustBeSealed({ sealed: true })).not.toThrow();
  expect(() => unpacker(false).unpacker.mustBeSealed({})).not.toThrow();
});
