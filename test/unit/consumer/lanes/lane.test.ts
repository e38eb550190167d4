import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { firstRecord, inColumns, Lane, type Pack } from '../../../../src/consumer/lanes/lane.js';
import { tracker as newTracker } from '../../../support/trackers.js';
import { COLUMNS_BYTES, memoryBytes, RECORD_MEMORY_BYTES_MAX } from '../../../../src/protocol/recordLimit.js';
import { recordBytes, type RecordHeader } from '../../../../src/protocol/record.js';
import { plain, record } from '../../../support/records.js';

const LIMITS = { maxRecords: 3, maxBytes: 1_000_000, lingerMs: 10 };
const tracker = (partition: number, start = 0) => newTracker({ topic: 'orders', partition, epoch: 'e' }, start);

function hand(lane: Lane, to: ReturnType<typeof newTracker>, offset: number, nowMs = 0): void {
  lane.add(to, inColumns([record(offset)]), nowMs);
  to.advanceTo(offset + 1);
}

const offsetsOf = ({ columns }: Pack['segments'][number]) => columns.flatMap((part) => [...part.offsets]);
const offsets = (pack: Pack) => pack.segments.map((segment) => [segment.partition, offsetsOf(segment)]);

it('is ready when a signal is full, or its first record has lingered', () => {
  const lane = new Lane(0, LIMITS);
  const source = tracker(0);
  expect(lane.readiness(0)).toEqual({ type: 'empty' });
  hand(lane, source, 0, 100);
  expect(lane.readiness(104)).toEqual({ type: 'linger', waitMs: 6 });
  expect(lane.readiness(110)).toEqual({ type: 'ready' });
  hand(lane, source, 1, 100);
  hand(lane, source, 2, 100);
  expect(lane.readiness(100)).toEqual({ type: 'ready' });
});

it('a pack that leaves records behind does not wait for others, and tells no time', () => {
  const lane = new Lane(0, LIMITS);
  const source = tracker(0);
  for (let offset = 0; offset < 4; offset++) hand(lane, source, offset, 100 + offset);
  expect(lane.pack().lingersSinceMs).toBeNull();
  lane.accepted(lane.pack());
  expect(lane.pack().lingersSinceMs).toBe(103);
});

it('packs in order up to the limits, and the same again until it is accepted', () => {
  const lane = new Lane(0, LIMITS);
  const [first, second] = [tracker(0), tracker(1)];
  hand(lane, first, 0);
  hand(lane, second, 0);
  hand(lane, first, 1);
  hand(lane, first, 2);
  expect(offsets(lane.pack())).toEqual([
    [0, [0, 1]],
    [1, [0]],
  ]);
  expect(lane.pack()).toEqual(lane.pack());
  lane.accepted(lane.pack());
  expect(offsets(lane.pack())).toEqual([[0, [2]]]);
  expect(lane.records).toBe(1);
});

it('packs at least one record, however large, and fewer when asked', () => {
  const lane = new Lane(0, { ...LIMITS, maxBytes: 1 });
  const source = tracker(0);
  hand(lane, source, 0);
  hand(lane, source, 1);
  expect(lane.pack().records).toBe(1);
  const wide = new Lane(0, LIMITS);
  const other = tracker(0);
  hand(wide, other, 0);
  hand(wide, other, 1);
  expect(wide.pack(1).records).toBe(1);
});

it('packs a record over the limit for one alone, so that it is seen and set aside, whatever is beside it', () => {
  const lane = new Lane(0, { ...LIMITS, maxBytes: 8_000_000 });
  const source = tracker(0);
  hand(lane, source, 0);
  const headers = Array.from({ length: 90_000 }, (): RecordHeader => ['h', Buffer.alloc(0)]);
  lane.add(source, inColumns([{ ...record(1), headers }]), 0);
  source.advanceTo(2);
  hand(lane, source, 2);
  for (let chunk = 0; chunk < 10; chunk++) lane.packed(4_000_000, 100_000);
  const seen: unknown[] = [];
  while (lane.records > 0) {
    const pack = lane.pack();
    seen.push(...offsets(pack));
    lane.accepted(pack);
  }
  expect(seen).toEqual([
    [0, [0]],
    [0, [1]],
    [0, [2]],
  ]);
});

it('makes chunks of 420 KB, as far as the last ones tell, smaller at once and larger step by step', () => {
  const lane = new Lane(0, { ...LIMITS, maxRecords: 10_000, maxBytes: 3_000_000 });
  const source = tracker(0);
  // So that each record has 10,000 bytes.
  const value = Buffer.alloc(10_000 - recordBytes(record(0, { key: null, value: null })));
  lane.add(source, inColumns(Array.from({ length: 400 }, (_, offset) => record(offset, { key: null, value }))), 0);
  const records = (payloadBytes: number, chunkBytes: number) => {
    lane.packed(payloadBytes, chunkBytes);
    return lane.pack().records;
  };
  expect(lane.pack().records).toBe(42);
  // Half of the records pack 10 to 1, the others not at all. However they alternate, a chunk is at most 1.25 times as large.
  expect([records(4_200_000, 420_000), records(525_000, 525_000), records(4_200_000, 420_000)]).toEqual([52, 42, 52]);
  // A small chunk packs badly, so it tells only if it packs well all the same.
  expect([records(200, 400), records(20_000, 1_000), records(0, 300)]).toEqual([52, 65, 65]);
  for (let chunk = 0; chunk < 20; chunk++) lane.packed(3_000_000, 100);
  expect(lane.pack().records).toBe(300);
});

it('waits until so much is there as makes a full chunk, and packs no more', () => {
  const lane = new Lane(0, { ...LIMITS, maxRecords: 100 });
  const source = tracker(0);
  lane.chunkBytesGoal = 5_000;
  const add = (offset: number) =>
    lane.add(source, inColumns([record(offset, { key: null, value: Buffer.alloc(1_000) })]), 0);
  for (let offset = 0; offset < 4; offset++) add(offset);
  expect(lane.readiness(0).type).toBe('linger');
  for (let offset = 4; offset < 7; offset++) add(offset);
  expect([lane.readiness(0).type, lane.pack().records]).toEqual(['ready', 4]);
  lane.packed(6_250, 5_000);
  expect([lane.readiness(0).type, lane.pack().records]).toEqual(['ready', 6]);
  lane.packed(10_000, 5_000);
  expect(lane.readiness(0).type).toBe('linger');
});

it('covers without a hole: from where the last accepted chunk ended, to all that was handed over', () => {
  const lane = new Lane(0, LIMITS);
  const source = tracker(0, 100);
  hand(lane, source, 103);
  source.advanceTo(110);
  expect(lane.pack().segments[0]).toMatchObject({ from: 99, to: 109 });
  lane.accepted(lane.pack());
  hand(lane, source, 115);
  hand(lane, source, 116);
  expect(lane.pack(1).segments[0]).toMatchObject({ from: 109, to: 115 });
});

it('forgets everything when cleared: an acceptance that comes later has no effect', () => {
  const lane = new Lane(0, LIMITS);
  hand(lane, tracker(0), 0);
  const before = lane.pack();
  lane.clear();
  expect(lane.holds(before)).toBe(false);
  hand(lane, tracker(0), 5);
  lane.accepted(before);
  expect(offsets(lane.pack())).toEqual([[0, [5]]]);
});

it('tells the own time of what waits first', () => {
  const lane = new Lane(0, LIMITS);
  const source = tracker(0);
  expect(lane.firstTimestampMs).toBeNull();
  lane.add(source, inColumns([record(0, { timestampMs: 7 })]), 100);
  lane.add(source, inColumns([record(1, { timestampMs: -1 })]), 100);
  expect(lane.firstTimestampMs).toBe(7);
  lane.accepted(lane.pack(1));
  expect(lane.firstTimestampMs).toBeNull();
});

it('replaces the head by a stub and counts its bytes', () => {
  const lane = new Lane(0, LIMITS);
  const source = tracker(0);
  lane.add(source, inColumns([record(0, { value: Buffer.alloc(10_000) })]), 0);
  source.advanceTo(1);
  const stub = record(0, { value: null, tooLargeBytes: 10_000 });
  lane.replaceHead(lane.pack(), stub);
  expect(lane.pack().bytes).toBe(recordBytes(stub));
  lane.accepted(lane.pack());
  expect(lane.memoryBytes).toBe(0);
});

it('delivers each record once, in order, in ranges that join, whatever is added, packed, refused and accepted', () => {
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ add: fc.nat(2), gaps: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 5 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        accept: fc.constant(true),
        maxRecords: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
        maxBytes: fc.option(fc.integer({ min: 1, max: 200 }), { nil: undefined }),
      }),
    },
    { weight: 1, arbitrary: fc.constant({ refuse: true }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
      const lane = new Lane(5, LIMITS);
      const trackers = [0, 1, 2].map((partition) => tracker(partition));
      const added: string[] = [];
      const delivered: string[] = [];
      const coveredTo = [-1, -1, -1];
      for (const current of steps) {
        if ('add' in current) {
          const to = trackers[current.add]!;
          let next = to.next;
          const list = current.gaps.map((gap) => record((next += gap) - 1));
          lane.add(to, inColumns(list), 0);
          to.advanceTo(next);
          added.push(...list.map(({ offset }) => `${current.add}/${offset}`));
        } else if (lane.records > 0) {
          lane.chunkBytesGoal = ('accept' in current ? current.maxBytes : undefined) ?? LIMITS.maxBytes;
          const pack = 'accept' in current ? lane.pack(current.maxRecords) : lane.pack();
          if (!('accept' in current)) continue;
          expect(pack.records).toBeGreaterThan(0);
          expect(pack.records).toBeLessThanOrEqual(current.maxRecords ?? LIMITS.maxRecords);
          if (pack.records > 1) expect(pack.bytes).toBeLessThanOrEqual(current.maxBytes ?? LIMITS.maxBytes);
          lane.accepted(pack);
          for (const segment of pack.segments) {
            const { partition, from, to } = segment;
            expect(from).toBe(coveredTo[partition]);
            coveredTo[partition] = to;
            for (const offset of offsetsOf(segment)) {
              expect(offset).toBeGreaterThan(from);
              expect(offset).toBeLessThanOrEqual(to);
              delivered.push(`${partition}/${offset}`);
            }
          }
        }
      }
      while (lane.records > 0) {
        const pack = lane.pack();
        lane.accepted(pack);
        for (const segment of pack.segments)
          delivered.push(...offsetsOf(segment).map((offset) => `${segment.partition}/${offset}`));
      }
      for (const partition of [0, 1, 2]) {
        const of = (list: string[]) => list.filter((name) => name.startsWith(`${partition}/`));
        expect(of(delivered)).toEqual(of(added));
      }
      expect(lane.memoryBytes).toBe(0);
      expect(trackers.map((to) => to.committable())).toEqual(trackers.map((to) => to.next));
    }),
  );
});

it('what it counts of memory is what its records take, whatever is accepted, replaced or cleared', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('add', 'accept', 'stub', 'clear'), { maxLength: 40 }), (steps) => {
      const lane = new Lane(0, LIMITS);
      const source = tracker(0);
      /** What each record takes, by the columns that it is in. */
      let waiting: number[][] = [];
      const taken = (offset: number, headers: number) => {
        const list = Array.from({ length: headers }, () => ['h', Buffer.alloc(10)] as const);
        const own = record(offset, { headers: list });
        return { own, memory: memoryBytes(own, recordBytes(own)) };
      };
      for (const [index, step] of steps.entries()) {
        if (step === 'add') {
          const list = [taken(source.next, index % 3), taken(source.next + 1, index % 2)];
          const own = list.map((one) => one.own);
          lane.add(source, inColumns(own), 0);
          source.advanceTo(source.next + 2);
          waiting.push(list.map(({ memory }) => memory));
        } else if (step === 'clear') {
          lane.clear();
          waiting = [];
        } else if (waiting.length > 0 && step === 'accept') {
          const pack = lane.pack();
          lane.accepted(pack);
          for (let left = pack.records; left > 0; left--) waiting.find((own) => own.length > 0)!.shift();
          waiting = waiting.filter((own) => own.length > 0);
        } else if (waiting.length > 0) {
          const { own, memory } = taken(source.next, 0);
          lane.replaceHead(lane.pack(1), own);
          const [[, ...rest] = []] = waiting;
          waiting.splice(0, 1, [memory], ...(rest.length === 0 ? [] : [rest]));
        }
        const ofRecords = waiting.flat().reduce((sum, memory) => sum + memory, 0);
        expect(lane.memoryBytes).toBe(ofRecords + waiting.length * COLUMNS_BYTES);
      }
    }),
  );
});

it('keeps nothing alive of what was fetched, unless a record is too large for a copy, and changes nothing', () => {
  const fetched = Buffer.allocUnsafeSlow(RECORD_MEMORY_BYTES_MAX + 60_000);
  const part = (start: number, length = 20_000) => fetched.subarray(start, start + length);
  const headers: RecordHeader[] = [
    ['h', part(40_000)],
    ['n', null],
  ];
  for (const valueBytes of [20_000, RECORD_MEMORY_BYTES_MAX]) {
    const lane = new Lane(0, LIMITS);
    const own = record(1, { key: part(0), value: part(20_000, valueBytes), headers });
    lane.add(tracker(0), inColumns([record(0), own, record(2)]), 0);
    lane.accepted(lane.pack(1));
    const kept = firstRecord(lane.pack(1))!;
    expect(Buffer.compare(kept.value!, own.value!)).toBe(0);
    expect({ ...plain(kept), value: null }).toEqual({ ...plain(own), value: null });
    const views = [kept.key, kept.value, kept.headers[0]![1]];
    expect(views.every((view) => view?.buffer === fetched.buffer)).toBe(valueBytes > 20_000);
    expect(views.some((view) => view?.buffer === fetched.buffer)).toBe(valueBytes > 20_000);
  }
});

it('keeps nothing alive that was accepted, however much waits behind it', async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const lane = new Lane(0, LIMITS);
  const source = tracker(0);
  for (let offset = 0; offset < 10; offset++) hand(lane, source, offset);
  const waiting = lane.pack(10).segments[0]!.columns.map((columns) => new WeakRef(columns));
  lane.accepted(lane.pack(2));
  // What was made or asked for in one turn of the event loop lives on until its end.
  await setImmediate();
  collectGarbage();
  const offsetsLeft = waiting.map((known) => known.deref()?.offsets[0]);
  expect(offsetsLeft).toEqual([undefined, undefined, 2, 3, 4, 5, 6, 7, 8, 9]);
});

it('keeps records together beside one that is too large to be copied', () => {
  const large = record(2, { value: Buffer.alloc(RECORD_MEMORY_BYTES_MAX) });
  const sets = inColumns([record(0), record(1), large, record(3), record(4)]);
  expect(sets.map(({ offsets }) => [...offsets])).toEqual([[0, 1], [2], [3, 4]]);
  expect(inColumns([])).toEqual([]);
});

it('keeps nothing of a partition whose tracker was replaced, once all of it is accepted', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const lane = new Lane(0, LIMITS);
  const replaced = (): WeakRef<object> => {
    const source = tracker(0);
    hand(lane, source, 0);
    lane.accepted(lane.pack());
    return new WeakRef(source);
  };
  const gone = replaced();
  // A WeakRef keeps its object until the end of the turn.
  await setImmediate();
  collect();
  expect(gone.deref()).toBeUndefined();
});
