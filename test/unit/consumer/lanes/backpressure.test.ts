import { expect, it } from 'vitest';
import { backpressureLimits, lingerBytesMax, partitionsToPause } from '../../../../src/consumer/lanes/backpressure.js';
import { inColumns, Lane } from '../../../../src/consumer/lanes/lane.js';
import { COLUMNS_BYTES, memoryBytes } from '../../../../src/protocol/recordLimit.js';
import { tracker as newTracker } from '../../../support/trackers.js';
import { record } from '../../../support/records.js';
import { recordBytes } from '../../../../src/protocol/record.js';

const BYTES = COLUMNS_BYTES + memoryBytes(record(0), recordBytes(record(0)));
const limits = backpressureLimits(40 * BYTES);
const lanes = () => [0, 1].map((index) => new Lane(index, { maxRecords: 1_000, maxBytes: 1e9, lingerMs: 0 }));
const tracker = (partition: number) => newTracker({ topic: 'orders', partition, epoch: 'e' }, 0);
const never = () => false;
const always = () => true;
const pausing = (
  trackers: Parameters<typeof partitionsToPause>[0],
  all: readonly Lane[],
  within: typeof limits,
  isPaused: () => boolean,
) => {
  const bufferedBytes = all.reduce((sum, lane) => sum + lane.memoryBytes, 0);
  return partitionsToPause(trackers, () => all, bufferedBytes, within, isPaused);
};

function fill(lane: Lane, from: ReturnType<typeof newTracker>, records: number): void {
  for (let count = 0; count < records; count++) {
    lane.add(from, inColumns([record(from.next)]), 0);
    from.advanceTo(from.next + 1);
  }
}

it('pauses the partitions that feed a full lane, and only those', () => {
  const [full, free] = lanes() as [Lane, Lane];
  const [feeds, other] = [tracker(0), tracker(1)];
  fill(full, feeds, 10);
  fill(free, other, 5);
  expect([...pausing([feeds, other], [full, free], limits, never)]).toEqual([feeds]);
});

it('pauses all when all lanes together are full', () => {
  const all = lanes() as [Lane, Lane];
  const [one, two, idle] = [tracker(0), tracker(1), tracker(2)];
  const wide = { bufferedBytesMax: 12 * BYTES, laneBytesMax: 100 * BYTES };
  fill(all[0], one, 6);
  fill(all[1], two, 6);
  expect(pausing([one, two, idle], all, wide, never).size).toBe(3);
});

it('lets a paused partition go on only at half', () => {
  const [lane, other] = lanes() as [Lane, Lane];
  const feeds = tracker(0);
  fill(lane, feeds, 6);
  expect(pausing([feeds], [lane, other], limits, never).size).toBe(0);
  expect(pausing([feeds], [lane, other], limits, always).size).toBe(1);
  lane.accepted(lane.pack(2));
  expect(pausing([feeds], [lane, other], limits, always).size).toBe(0);
});

it('pauses a partition that has reached the end of its plan, until the next plan begins', () => {
  const ending = newTracker({}, 0, { end: 3 });
  expect(pausing([ending], lanes(), limits, never).size).toBe(0);
  ending.advanceTo(3);
  expect(pausing([ending], lanes(), limits, never).size).toBe(1);
});

it('counts what small records and their headers take in memory, not what they carry', () => {
  const [lane] = lanes() as [Lane];
  const feeds = tracker(0);
  const small = record(0, { key: null, value: Buffer.alloc(20), headers: [['a', Buffer.alloc(1)]] });
  const before = recordBytes(small);
  lane.add(feeds, inColumns([small]), 0);
  expect(lane.pack().bytes).toBe(before);
  // A record's objects count some 330 bytes, a header's some 200, and columns 2,000, also for one record.
  expect(lane.memoryBytes).toBe(before + 530 + COLUMNS_BYTES);
  const room = { bufferedBytesMax: 10 * lane.memoryBytes, laneBytesMax: 10 * lane.memoryBytes };
  for (let offset = 1; offset < 9; offset++) lane.add(feeds, inColumns([{ ...small, offset }]), 0);
  expect(pausing([feeds], [lane], room, never).size).toBe(0);
  lane.add(feeds, inColumns([{ ...small, offset: 9 }]), 0);
  expect(pausing([feeds], [lane], room, never).size).toBe(1);
});

it.each([1, 2, 4, 5, 13, 100])(
  '%i lanes that only wait for more pause no partition, alone or all together',
  (count) => {
    const all = Array.from({ length: count }, (_, index) => {
      const lingerMemoryBytesMax = lingerBytesMax(200_000 * BYTES, count);
      return new Lane(index, { maxRecords: 1e6, maxBytes: 1e9, lingerMs: 1_000, lingerMemoryBytesMax });
    });
    const feeds = tracker(0);
    const part = Array.from({ length: 1_000 }, (_, offset) => record(offset));
    for (const lane of all) while (lane.readiness(0).type !== 'ready') lane.add(feeds, inColumns(part), 0);
    const fewer = backpressureLimits(200_000 * BYTES);
    expect(pausing([feeds], all, fewer, never).size).toBe(0);
  },
);
