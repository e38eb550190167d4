import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import type { BatcherClient, SendOutcome } from '../../../../src/temporal/batcherClient.js';
import { inColumns, Lane, type Pack } from '../../../../src/consumer/lanes/lane.js';
import { LaneSender, type LaneObserver } from '../../../../src/consumer/lanes/laneSender.js';
import type { StopCause } from '../../../../src/consumer/lanes/laneStop.js';
import { chunkBytes, type ChunkMeta } from '../../../../src/protocol/chunk.js';
import { BATCH_BYTES_MAX } from '../../../../src/protocol/payloadLimit.js';
import { flowControlLimits } from '../../../../src/temporal/flowControl.js';
import type { BatchLimits } from '../../../../src/protocol/settings.js';
import { BatcherState } from '../../../../src/workflows/batcherState.js';
import { chunk, input, settings } from '../../../support/chunks.js';
import { eventually } from '../../../support/eventually.js';
import { recordBytes, type RecordHeader } from '../../../../src/protocol/record.js';
import { memoryBytes, RECORD_MEMORY_BYTES_MAX } from '../../../../src/protocol/recordLimit.js';
import { record } from '../../../support/records.js';
import { tracker } from '../../../support/trackers.js';

const senders: LaneSender[] = [];
afterEach(() => {
  for (const sender of senders.splice(0)) sender.end();
});

const offsetsOf = ({ segments }: Pack) =>
  segments.flatMap(({ columns }) => columns.flatMap(({ offsets }) => [...offsets]));

function start(
  outcomes: SendOutcome[],
  overrides: Partial<LaneObserver> = {},
  batcherOverrides: Partial<BatcherClient> = {},
  {
    maxRecords = 10,
    batch = {},
    lingerMs = 0,
  }: { maxRecords?: number; batch?: Partial<BatchLimits>; lingerMs?: number } = {},
) {
  const lane = new Lane(0, { maxRecords, maxBytes: 1_000_000, lingerMs });
  const sent: ChunkMeta[] = [];
  const stopped: StopCause[] = [];
  const resumed: string[] = [];
  const told: string[] = [];
  const heirs: string[] = [];
  const batcher = {
    workflowId: 'w',
    history: () => Promise.resolve(null),
    send: (meta: ChunkMeta) => {
      sent.push(meta);
      return Promise.resolve(outcomes.shift() ?? { type: 'accepted', bytes: 0, runId: 'r', started: false });
    },
    startHeir: () => Promise.resolve({ closed: { runId: 'closed', status: 'TERMINATED' }, dueTask: null }),
    ...batcherOverrides,
  } as unknown as BatcherClient;
  const observer: LaneObserver = {
    accepted: () => undefined,
    notAccepted: () => undefined,
    stopped: (cause) => void stopped.push(cause),
    resumed: (why) => void resumed.push(why),
    stuck: (message) => void told.push(message),
    heirStarted: ({ runId }) => void heirs.push(runId),
    setAside: () => Promise.resolve(),
    leaderEpochBefore: () => null,
    ...overrides,
  };
  const flow = { historyBytesMax: 8_000_000, checkEveryBytes: 1_000_000 };
  const settingsNow = settings(batch);
  const sender = new LaneSender({ lane, batcher, flow, settings: () => settingsNow, observer });
  senders.push(sender);
  const ended = sender.run();
  const source = tracker();
  const add = (records: number, different: Readonly<Record<number, object>> = {}, nowMs = 0) => {
    for (let count = 0; count < records; count++) {
      lane.add(source, inColumns([record(source.next, different[source.next])]), nowMs);
      source.advanceTo(source.next + 1);
    }
    sender.wake();
  };
  return { lane, sent, stopped, resumed, told, heirs, add, sender, ended };
}

it('tells how long records have waited for others, and not what they have waited for Temporal', async () => {
  const { sent, lane, add } = start(
    [{ type: 'retry', bytes: 0, message: 'away' }],
    {},
    {},
    { lingerMs: 30, maxRecords: 2 },
  );
  add(2);
  add(1);
  await eventually(() => expect(lane.records).toBe(0));
  expect(sent.map(({ records, waitedMs }) => [records, waitedMs])).toEqual([
    [2, undefined],
    [2, undefined],
    [1, 30],
  ]);
  // In a hurry nothing waits any longer. What has waited counts all the same.
  lane.lingerMs = 0;
  add(1);
  await eventually(() => expect(sent).toHaveLength(4));
  expect(sent[3]).toMatchObject({ records: 1, waitedMs: 30 });
});

it('tells a batcher who has written the last offset that a chunk covers, if that is known', async () => {
  const leaderEpochBefore = (_: object, offset: number) => (offset === 2 ? 7 : null);
  const { sent, add } = start([], { leaderEpochBefore }, {}, { maxRecords: 2 });
  add(2);
  add(2);
  await eventually(() => expect(sent).toHaveLength(2));
  const marks = sent.map(({ segments }) => segments[0]?.mark);
  expect(marks.map((mark) => [mark?.offset, mark?.leaderEpoch])).toEqual([
    [1, 7],
    [3, undefined],
  ]);
});

it('a full pack tells how long the lane has lingered until it was full, and nothing in a backlog', async () => {
  const { sent, lane, add } = start([], {}, {}, { lingerMs: 1_000, maxRecords: 2 });
  const fill = async (afterMs: number, records: number) => {
    add(1, {}, performance.now());
    await sleep(afterMs);
    add(records - 1, {}, performance.now());
    await eventually(() => expect(lane.records).toBe(0));
  };
  await fill(100, 8);
  const told = sent.map(({ waitedMs }) => waitedMs);
  expect(told).toEqual([expect.any(Number), undefined, undefined, expect.any(Number)]);
  expect(told[0]).toBeGreaterThan(80);
  expect(told[0]).toBeLessThanOrEqual(500);
  // The next full pack would come too late for the same batch.
  await fill(600, 4);
  expect(sent[4]).toMatchObject({ records: 2, waitedMs: 1_000 });
});

it('starts an heir where the run has ended, and sends the same chunk again', async () => {
  const { sent, heirs, lane, add } = start([{ type: 'closed' }]);
  add(3);
  await eventually(() => expect(lane.records).toBe(0));
  expect(heirs).toEqual(['closed']);
  expect(sent).toHaveLength(2);
  expect(sent[1]!.segments).toEqual(sent[0]!.segments);
});

it('goes on where a record too large for a signal cannot be set aside, and says so', async () => {
  const setAside = () => Promise.reject(new Error('no such topic'));
  const { stopped, lane, add, sender, ended } = start([{ type: 'tooLarge', message: 'too large' }], { setAside });
  add(1);
  await eventually(() => expect(stopped).toContain('deadLetters'));
  expect(lane.records).toBe(1);
  sender.end();
  await expect(ended).resolves.toBeUndefined();
});

it('counts the metadata of chunks: 8 members with 1,000 partitions send less than 12 MiB between reads of the history', async () => {
  const [members, partitions] = [8, 125];
  const betweenReads = [0];
  const send = (meta: ChunkMeta, body: Uint8Array) => {
    const bytes = Buffer.byteLength(JSON.stringify(meta)) + body.length;
    betweenReads[0]! += bytes;
    return Promise.resolve<SendOutcome>({ type: 'accepted', bytes, runId: 'r', started: false });
  };
  const history = () => {
    betweenReads.unshift(0);
    return Promise.resolve({ runId: 'r', bytes: 0, events: 1 });
  };
  const { lane, sender } = start([], {}, { send, history }, { maxRecords: partitions });
  sender.setMembers(members);
  const sources = Array.from({ length: partitions }, (_, partition) => tracker({ partition, epoch: 'abcdef012345' }));
  for (let signal = 0; signal < 250; signal++) {
    for (const source of sources) {
      lane.add(source, inColumns([record(source.next)]), 0);
      source.advanceTo(source.next + 1);
    }
  }
  sender.wake();
  await eventually(() => expect(lane.records).toBe(0));
  expect(betweenReads.length).toBeGreaterThan(3);
  expect(members * Math.max(...betweenReads)).toBeLessThan(12 * 1024 * 1024);
});

/** A sender to a batcher that accepts all, and how large its signals are. */
function startMeasured(outcomes: SendOutcome[] = [], batcher: Partial<BatcherClient> = {}) {
  const sizes: number[] = [];
  const send = (meta: ChunkMeta, body: Uint8Array) => {
    const bytes = chunkBytes(meta.segments, [], body.length);
    sizes.push(bytes);
    return Promise.resolve<SendOutcome>(outcomes.shift() ?? { type: 'accepted', bytes, runId: 'r', started: false });
  };
  const { lane, sender } = start([], {}, { send, ...batcher }, { maxRecords: 10_000, lingerMs: 60_000 });
  return { sizes, lane, sender };
}

it('follows what flow control allows by what a signal takes once it is packed, and is ready as soon as it has that', async () => {
  const { sizes, lane, sender } = startMeasured();
  // Of 100 members each may send 62 KB, and 10 KB after a signal that was accepted just before.
  sender.setMembers(100);
  const now = performance.now.bind(performance);
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + 1_000);
  onTestFinished(() => clock.mockRestore());
  const { signalBytesMax, closeSignalBytesMax } = flowControlLimits(
    { historyBytesMax: 8_000_000, checkEveryBytes: 1_000_000 },
    100,
  );
  const source = tracker();
  // Half of each value packs to nothing.
  const values = Array.from({ length: 2_000 }, () => Buffer.concat([randomBytes(500), Buffer.alloc(500)]));
  lane.add(source, inColumns(values.map((value, offset) => record(offset, { value }))), 0);
  source.advanceTo(values.length);
  sender.wake();
  await eventually(() => expect(lane.readiness(0).type).toBe('linger'));
  expect(Math.max(...sizes)).toBeLessThanOrEqual(signalBytesMax);
  expect(sizes[0]).toBeGreaterThan(closeSignalBytesMax * 2);
  expect(Math.max(...sizes.slice(1))).toBeLessThanOrEqual(closeSignalBytesMax);
  // What is left is less than a signal: some 20 records.
  expect(lane.records).toBeLessThan(25);
  // All but the first are nearly as large as they may be.
  expect(Math.min(...sizes.slice(4))).toBeGreaterThan(closeSignalBytesMax * 0.8);
});

it('sends full signals at a steady rate, of which small ones would follow each other within a second', async () => {
  const clock = vi.spyOn(performance, 'now').mockReturnValue(0);
  onTestFinished(() => clock.mockRestore());
  const { sizes, lane, sender } = startMeasured();
  sender.setMembers(15);
  const { closeSignalBytesMax } = flowControlLimits({ historyBytesMax: 8 << 20, checkEveryBytes: 2 << 20 }, 15);
  const source = tracker();
  // 100 KB a second for 20 seconds: 70 KB, the limit of signals that are close, are there after 0.7 s.
  for (let offset = 0; offset < 400; offset++) {
    clock.mockReturnValue(offset * 50);
    lane.add(source, inColumns([record(offset, { value: randomBytes(5_000) })]), offset * 50);
    source.advanceTo(offset + 1);
    sender.wake();
    for (let turn = 0; turn < 5; turn++) await sleep(0);
  }
  expect(sizes.length).toBeGreaterThan(3);
  expect(Math.min(...sizes.slice(1))).toBeGreaterThan(closeSignalBytesMax * 2);
});

it.each<[string, SendOutcome[], number]>([
  ['a stop at the mark of the history', [], 1],
  ['a refusal of a full history', [{ type: 'full', message: 'too many signals' }], 0],
])('begins with a small signal after %s: all lanes go on at once', async (_, outcomes, refusals) => {
  let nowMs = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  onTestFinished(() => clock.mockRestore());
  const attempts = outcomes.length;
  const { sizes, lane, sender } = startMeasured(outcomes, {
    history: () => Promise.resolve(refusals-- > 0 ? { runId: 'r', bytes: 2 ** 40, events: 0 } : null),
  });
  sender.setMembers(15);
  const { closeSignalBytesMax } = flowControlLimits({ historyBytesMax: 8_000_000, checkEveryBytes: 1_000_000 }, 15);
  nowMs = 60_000;
  const source = tracker();
  const values = Array.from({ length: 200 }, () => randomBytes(5_000));
  lane.add(source, inColumns(values.map((value, offset) => record(offset, { value }))), nowMs);
  source.advanceTo(values.length);
  sender.wake();
  await eventually(() => expect(sizes.length).toBeGreaterThan(attempts));
  expect(sizes[attempts]).toBeLessThanOrEqual(closeSignalBytesMax);
  for (const refused of sizes.slice(0, attempts)) expect(refused).toBeGreaterThan(closeSignalBytesMax * 2);
});

it('begins with a small signal after a rebalance: all members go on at once', async () => {
  const clock = vi.spyOn(performance, 'now').mockReturnValue(0);
  onTestFinished(() => clock.mockRestore());
  const { sizes, lane, sender } = startMeasured();
  clock.mockReturnValue(60_000);
  sender.setMembers(15);
  const { closeSignalBytesMax } = flowControlLimits({ historyBytesMax: 8_000_000, checkEveryBytes: 1_000_000 }, 15);
  const source = tracker();
  const values = Array.from({ length: 200 }, () => randomBytes(5_000));
  lane.add(source, inColumns(values.map((value, offset) => record(offset, { value }))), 60_000);
  source.advanceTo(values.length);
  sender.wake();
  await eventually(() => expect(sizes.length).toBeGreaterThan(0));
  expect(sizes[0]).toBeLessThanOrEqual(closeSignalBytesMax);
});

it('halves a pack that became larger than flow control allows, but sends one record in any case', async () => {
  const { sent, lane, add, sender } = start([], {}, {}, { maxRecords: 1_000 });
  // 8 KB for each.
  sender.setMembers(1_000);
  lane.packed(1_250_000, 1_000_000);
  const value = () => ({ value: randomBytes(4_000) });
  add(2, { 0: value(), 1: value() });
  add(1, { 2: { value: randomBytes(20_000) } });
  await eventually(() => expect(lane.records).toBe(0));
  expect(sent.map(({ records }) => records)).toEqual([1, 1, 1]);
});

it('lets three signals of many partitions fill a batch, with their metadata', async () => {
  const sizes: number[] = [];
  const send = (meta: ChunkMeta, body: Uint8Array) => {
    sizes.push(chunkBytes(meta.segments, [], body.length));
    return Promise.resolve<SendOutcome>({ type: 'accepted', bytes: 0, runId: 'r', started: false });
  };
  const { lane, sender } = start([], {}, { send }, { maxRecords: 10_000 });
  const sources = Array.from({ length: 1_000 }, (_, partition) => tracker({ partition }));
  for (let round = 0; round < 6; round++) {
    for (const source of sources) {
      lane.add(source, inColumns([record(source.next, { value: randomBytes(400) })]), 0);
      source.advanceTo(source.next + 1);
    }
  }
  sender.wake();
  await eventually(() => expect(lane.records).toBe(0));
  // The first one tells how much its metadata takes.
  expect(Math.max(...sizes.slice(1))).toBeLessThan(BATCH_BYTES_MAX / 3);
});

it('makes signals as small as the payloads that Temporal takes', async () => {
  const { sent, lane, add, sender } = start([], {}, {}, { maxRecords: 1_000, batch: { payloadBytesMax: 256 * 1024 } });
  sender.setMembers(1);
  const values = Object.fromEntries(Array.from({ length: 60 }, (_, offset) => [offset, { value: randomBytes(5_000) }]));
  add(60, values);
  await eventually(() => expect(lane.records).toBe(0));
  // An eighth of 420 KB.
  expect(sent.map(({ records }) => records)).toEqual([10, 10, 10, 10, 10, 10]);
});

it('brings the settings along to every new run, and after each rebalance', async () => {
  const run = (runId: string): SendOutcome => ({ type: 'accepted', bytes: 0, runId, started: false });
  const { sent, lane, add, sender } = start([run('a'), run('a'), run('b'), run('b'), run('b')]);
  const withSettings: boolean[] = [];
  for (let chunk = 0; chunk < 5; chunk++) {
    if (chunk === 4) sender.setMembers(2);
    add(1);
    await eventually(() => expect(lane.records).toBe(0));
    withSettings.push(sent.at(-1)!.settings !== undefined);
  }
  expect(withSettings).toEqual([true, false, false, true, true]);
});

it.each<[string, SendOutcome[], Partial<BatcherClient>]>([
  ['a refusal', [{ type: 'full', message: 'too many signals' }], {}],
  ['a look', [], { history: () => Promise.resolve({ runId: 'r', bytes: 100_000_000, events: 1 }) }],
])('a lane that is cleared while %s has stopped it is stopped no longer', async (_, outcomes, overrides) => {
  const { stopped, resumed, told, lane, add } = start(outcomes, {}, overrides);
  add(1);
  await eventually(() => expect(stopped).toEqual(['history']));
  expect([resumed, told]).toEqual([[], []]);
  lane.clear();
  await eventually(() => expect(resumed).toEqual(['emptied']));
});

it('a lane whose stop gets another cause does not go on before a signal is accepted', async () => {
  const answers: (() => Promise<SendOutcome>)[] = [
    () => Promise.reject(new Error('no answer')),
    () => Promise.resolve({ type: 'full', message: 'too many signals' }),
    () => Promise.resolve({ type: 'accepted', bytes: 0, runId: 'r', started: false }),
  ];
  const send = () => answers.shift()!();
  const { stopped, resumed, lane, add } = start([], {}, { send });
  add(1);
  await eventually(() => expect(stopped).toEqual(['temporal', 'history']));
  expect([resumed, lane.records]).toEqual([[], 1]);
  await eventually(() => expect(resumed).toEqual(['accepted']));
  expect(stopped).toEqual(['temporal', 'history']);
});

it('a lane that is stopped when it ends does not say that it goes on', async () => {
  const history = () => Promise.reject(new Error('no answer'));
  const { stopped, resumed, told, add, sender, ended } = start([], {}, { history });
  add(1);
  await eventually(() => expect(stopped).toEqual(['temporal']));
  expect(told).toEqual(['no answer']);
  sender.end();
  await ended;
  expect(resumed).toEqual([]);
});

it('a record that stays too large becomes a bare stub, and is set aside no more', async () => {
  const tooLarge = (): SendOutcome => ({ type: 'tooLarge', message: 'too large' });
  const headers: RecordHeader[] = [['h', null]];
  const stubs = [{ headers }, { headers: [], key: null }].map((parts) => record(0, { tooLargeBytes: 1, ...parts }));
  let setAsides = 0;
  const { stopped, lane, add } = start([tooLarge(), tooLarge(), tooLarge(), tooLarge()], {
    setAside: (pack) => {
      setAsides++;
      lane.replaceHead(pack, stubs.shift()!);
      return Promise.resolve();
    },
  });
  add(1);
  await eventually(() => expect(stopped).toEqual(['temporal']));
  expect([setAsides, lane.records]).toEqual([2, 1]);
});

it.each<[string, object]>([
  ['a timestamp that is none', { timestampMs: NaN }],
  ['a header that is a function', { headers: [['toString', () => 0]] }],
  ['a text for a value', { value: '{"id":2}' }],
  // Both are small when they are packed.
  ['more decompressed bytes than one may have', { value: Buffer.alloc(RECORD_MEMORY_BYTES_MAX, ' ') }],
  [
    'more headers than one may have',
    { headers: Array.from({ length: RECORD_MEMORY_BYTES_MAX / 200 }, (): RecordHeader => ['', null]) },
  ],
])(
  'a record with %s is set aside alone and in its turn, before any signal, and the others are sent',
  async (_, wrong) => {
    const setAsides: number[][] = [];
    const { sent, lane, add, told } = start([], {
      setAside: (pack) => {
        setAsides.push(offsetsOf(pack));
        lane.replaceHead(pack, record(2, { value: null, tooLargeBytes: 1 }));
        return Promise.resolve();
      },
    });
    add(5, { 2: wrong });
    await eventually(() => expect(lane.records).toBe(0));
    expect(setAsides).toEqual([[2]]);
    const segments = sent.flatMap((meta) => meta.segments);
    expect(segments.reduce((sum, { records }) => sum + records, 0)).toBe(5);
    expect(segments.map(({ from }) => from)).toEqual([-1, ...segments.slice(0, -1).map(({ to }) => to)]);
    expect(segments.at(-1)?.to).toBe(4);
    expect(told).toEqual([]);
  },
);

it('a record of as many bytes as one may have is sent', async () => {
  const setAsides: unknown[] = [];
  const { sent, lane, add } = start([], { setAside: (pack) => Promise.resolve(void setAsides.push(pack)) });
  const room = RECORD_MEMORY_BYTES_MAX - memoryBytes(record(0), recordBytes(record(0, { value: null })));
  add(1, { 0: { value: Buffer.alloc(room, ' ') } });
  await eventually(() => expect(lane.records).toBe(0));
  expect([setAsides.length, sent.length]).toEqual([0, 1]);
});

it('a record that not even a stub can stand for stops its lane, which says so', async () => {
  let setAsides = 0;
  const { stopped, told, lane, add, sent, sender, ended } = start([], {
    setAside: (pack) => {
      setAsides++;
      lane.replaceHead(pack, record(0.5, { tooLargeBytes: 1, key: null, value: null, headers: [] }));
      return Promise.resolve();
    },
  });
  add(1, { 0: { offset: 0.5 } });
  await eventually(() => expect(stopped).toEqual(['temporal']));
  expect([setAsides, sent, told]).toEqual([1, [], [expect.stringContaining('offset 0.5')]]);
  sender.end();
  await expect(ended).resolves.toBeUndefined();
});

it('what nobody has thought of stops a lane for a moment, not for ever', async () => {
  let sends = 0;
  const send = () =>
    ++sends === 1
      ? Promise.reject(new TypeError('no function'))
      : Promise.resolve<SendOutcome>({ type: 'accepted', bytes: 0, runId: 'r', started: false });
  const { told, lane, add } = start([], {}, { send });
  add(1);
  await eventually(() => expect(lane.records).toBe(0));
  expect([sends, told]).toEqual([2, ['no function']]);
});

it('pauses between heirs whose runs are ended as soon as they begin', async () => {
  const closed = (): SendOutcome => ({ type: 'closed' });
  const { heirs, sent, add, sender, ended } = start(Array.from({ length: 1_000 }, closed));
  add(1);
  await eventually(() => expect(heirs.length).toBeGreaterThan(3));
  sender.end();
  await ended;
  // Without a pause all thousand would have been taken before anybody could look.
  expect(sent.length).toBeLessThan(20);
});

it.each([0, 1, 4])(
  'a batch of one chunk of many partitions fits into a payload, also where the batcher has had %i ranges of each',
  async (ranges) => {
    const payloadBytesMax = 512 * 1024;
    const partitions = 2_500;
    const batches: number[] = [];
    let records = 0;
    const send = (meta: ChunkMeta, body: Uint8Array) => {
      const state = new BatcherState({ workflowId: 'w', runId: 'r' }, input({ payloadBytesMax }), new Uint8Array(0));
      for (let from = 0; from < 2 * ranges; from += 2)
        state.accept(chunk(...meta.segments.map((segment) => ({ ...segment, from, to: from + 1 }))), body, 0);
      state.accept(meta, body, 0);
      expect(state.buffered.at(-1)!.chunk.keep[0]?.length).toBe(ranges === 0 ? undefined : ranges + 1);
      while (state.buffered.length > 0) {
        const { spec, bodies } = state.takeBatch('delay', 0);
        batches.push(Buffer.byteLength(JSON.stringify(spec)) + bodies.length);
        state.finishFlush({ inserted: spec.chunks.length, rejected: 0, skipped: 0 }, spec.id, 0);
      }
      records += meta.records;
      return Promise.resolve<SendOutcome>({ type: 'accepted', bytes: 0, runId: 'r', started: false });
    };
    const { lane, sender } = start([], {}, { send }, { maxRecords: partitions, batch: { payloadBytesMax } });
    for (let partition = 0; partition < partitions; partition++) {
      const source = tracker({ topic: `topic-${partition}`.padEnd(60, 'x'), epoch: 'abcdef012345' });
      lane.add(source, inColumns([record(9, { value: randomBytes(100) })]), 0);
      source.advanceTo(10);
    }
    sender.wake();
    await eventually(() => expect(lane.records).toBe(0));
    expect(records).toBe(partitions);
    expect(Math.max(...batches)).toBeLessThan(payloadBytesMax * 0.8);
  },
);
