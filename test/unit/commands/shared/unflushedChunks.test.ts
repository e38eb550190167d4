import { expect, it } from 'vitest';
import { isGivenTo, visitUnflushed, type LockedRange } from '../../../../src/commands/shared/unflushedChunks.js';
import { unflushedAt } from '../../../../src/commands/where/unflushedAt.js';
import type { Buffered } from '../../../../src/workflows/batchPlanning.js';
import { record } from '../../../support/records.js';
import { chunkOf } from '../../../support/chunks.js';

const batcher = 'ktb:orders:2-partition:1';
const DAMAGED = Buffer.from('damaged');

function held(from: number, offsets: readonly number[], epoch = 'e1', timestampMs = 1_000_000): Buffered {
  const records = offsets.map((offset) => record(offset, { timestampMs }));
  const to = offsets.at(-1) ?? from;
  const { meta, body } = chunkOf({ topic: 'orders', partition: 1, epoch, from, to, records });
  const { segments, records: count, bytes } = meta;
  const chunk = { segments, keep: [null], records: count, bytes, bodyBytes: body.length, acceptedAtMs: 0 };
  return { chunk, body };
}

const damaged = ({ chunk }: Buffered): Buffered => ({ chunk: { ...chunk, bodyBytes: DAMAGED.length }, body: DAMAGED });
const cut = ({ chunk, body }: Buffered): Buffered => ({
  chunk: {
    ...chunk,
    keep: [
      [
        [2, 3],
        [4, 6],
      ],
    ],
  },
  body,
});

async function visited(unflushed: readonly Buffered[]): Promise<{ offsets: number[]; locked: LockedRange[] }> {
  const offsets: number[] = [];
  const locked: LockedRange[] = [];
  await visitUnflushed(batcher, unflushed, {
    record: (_source, { offset }) => offsets.push(offset),
    locked: (range) => locked.push(range),
  });
  return { offsets, locked };
}

it('a chunk that cannot be unpacked hides nothing of the others, and its ranges are named', async () => {
  const { offsets, locked } = await visited([held(0, [1, 2]), damaged(held(2, [3, 6])), held(6, [7])]);
  expect(offsets).toEqual([1, 2, 7]);
  const reason = expect.stringContaining('cannot be decompressed') as string;
  expect(locked).toEqual([{ topic: 'orders', partition: 1, epoch: 'e1', from: 3, to: 7, batcher, reason }]);
  expect((await visited([cut(damaged(held(2, [3, 6])))])).locked).toMatchObject([
    { from: 3, to: 4 },
    { from: 5, to: 7 },
  ]);
});

it('the layout of a batcher tells which records of the log are its own', async () => {
  const without = () => Promise.resolve(undefined);
  const given = [0, 1, 2, 3].map((partition) => isGivenTo(batcher, { topic: 'orders', partition }, record(1), without));
  expect(await Promise.all(given)).toEqual([false, true, false, true]);
});

const told = (unflushed: readonly Buffered[], epochs: readonly string[], epoch: string | null) =>
  unflushedAt(
    { workflowId: batcher, accepted: { coverage: [], unflushed } },
    { place: { topic: 'orders', partition: 1, offset: 3 }, record: { timestampMs: 1_000_000 }, epoch, epochs },
  );

it('what is held of a topic that was recreated is not taken for the record that is there now', async () => {
  const earlier = held(0, [3], 'e1', 5_000);
  expect(await told([earlier], ['e1'], null)).toEqual({ unflushed: false, earlierEpochs: ['e1'], locked: null });
  expect(await told([earlier, held(0, [3], 'e2')], ['e1', 'e2'], 'e2')).toMatchObject({ unflushed: true });
  // The offsets were reset, and it is still held from before.
  expect(await told([held(0, [3])], ['e1'], 'e2')).toMatchObject({ unflushed: true, earlierEpochs: [] });
  expect(await told([held(0, [1, 4])], ['e1'], 'e1')).toMatchObject({ unflushed: false, earlierEpochs: [] });
});

it('a chunk that cannot be unpacked holds the record, unless it was accepted again under the committed epoch', async () => {
  const chunks = [damaged(held(0, [3])), held(3, [4])];
  expect(await told(chunks, ['e1'], 'e1')).toMatchObject({ unflushed: true, locked: { from: 1, to: 4, batcher } });
  expect(await told(chunks, ['e1'], 'e2')).toMatchObject({ unflushed: true });
  expect(await told(chunks, ['e1', 'e2'], 'e2')).toMatchObject({ unflushed: false, locked: null });
});
