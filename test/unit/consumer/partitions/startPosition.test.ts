import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  formatCommitMetadata,
  formatUnread,
  parseCommitMetadata,
  READING,
  type PartitionState,
} from '../../../../src/consumer/partitions/commitMetadata.js';
import { newEpoch } from '../../../../src/consumer/partitions/epoch.js';
import {
  afterShortLog,
  acceptedUnder,
  afterUnknownCluster,
  knownPosition,
  lastEpoch,
  OTHER_LOG,
  startPosition,
  type KnownEpoch,
  type PartitionFacts,
} from '../../../../src/consumer/partitions/startPosition.js';
import type { Layout } from '../../../../src/protocol/layout.js';
import { LAYOUT } from '../../../support/trackers.js';

const metadata = (state: PartitionState = READING, layout: Layout = LAYOUT) =>
  formatCommitMetadata({ epoch: 'e1', layout, clusterId: 'c1', state });
const ours = metadata();
const context = { layout: LAYOUT, clusterId: 'c1' } as const;
const TWELVE: Layout = { batchers: 12, keyFunction: 'key' };
const facts = (overrides: Partial<PartitionFacts> = {}): PartitionFacts => ({
  committedOffset: 50,
  committedMetadata: ours,
  logStart: 0,
  logEnd: 100,
  ...overrides,
});

it('goes on under the committed epoch where metadata, cluster and layout are ours', () => {
  expect(startPosition(facts(), context)).toEqual({ type: 'continue', epoch: 'e1', offset: 50, missed: 0 });
});

it('goes on at the log start where retention removed what was due, and says how much is missing', () => {
  expect(startPosition(facts({ logStart: 60 }), context)).toEqual({
    type: 'continue',
    epoch: 'e1',
    offset: 60,
    missed: 10,
  });
});

it('says what the commit tells of who has written the log, if that is of the topic that is there now', () => {
  const epoch = newEpoch('aaaaaaaa');
  const told = {
    committedMetadata: formatCommitMetadata({ epoch, layout: LAYOUT, clusterId: 'c1', state: READING }),
    committedLeaderEpoch: 5,
    topicId: 'aaaaaaaa',
  };
  const committed = { leaderEpoch: 5, to: 50, starts: [{ leaderEpoch: 5, from: 49 }] };
  expect(startPosition(facts(told), context)).toEqual({ type: 'continue', epoch, offset: 50, missed: 0, committed });
  expect(startPosition(facts({ ...told, logEnd: 40 }), context)).toMatchObject({ type: 'shortLog', committed });
  // Epochs of version 0.1.0 do not say which topic they have read.
  expect(startPosition(facts({ ...told, committedMetadata: ours }), context)).not.toHaveProperty('committed');
});

it('goes on where a log was cut, under a new epoch, and names all that was read and is gone', () => {
  const start = { type: 'newEpoch', reason: 'the log was truncated', before: 'e1' };
  const cut = { at: 30, to: 55 };
  expect(startPosition(facts(), { ...context, cut })).toEqual({ ...start, offset: 30, lost: { from: 30, to: 54 } });
  // It has read further since, or retention has removed what came after the cut.
  expect(startPosition(facts(), { ...context, cut, position: 70 })).toMatchObject({ lost: { from: 30, to: 69 } });
  expect(startPosition(facts({ logStart: 40 }), { ...context, cut })).toMatchObject({ offset: 40 });
  // Another topic has the name now.
  const other = startPosition(facts(), { ...context, cut, formerEpoch: 'e1' });
  expect(other).toMatchObject({ reason: OTHER_LOG, offset: 0 });
});

it('reads a topic from its start that was created again, whatever was committed for the one before', () => {
  const epoch = newEpoch('aaaaaaaa00');
  const committedMetadata = formatCommitMetadata({ epoch, layout: LAYOUT, clusterId: 'c1', state: READING });
  const start = { type: 'newEpoch', offset: 5, reason: OTHER_LOG, isOtherTopic: true };
  const other = facts({ committedMetadata, topicId: 'bbbbbbbb00', logStart: 5 });
  expect(startPosition(other, context)).toEqual(start);
  expect(startPosition({ ...other, logEnd: 20 }, context)).toEqual(start);
  expect(startPosition(facts({ logStart: 5 }), { ...context, formerEpoch: 'e1' })).toEqual(start);
  expect(startPosition({ ...other, topicId: 'aaaaaaaa00' }, context)).toMatchObject({ type: 'continue', epoch });
  expect(startPosition(facts({ topicId: 'bbbbbbbb00' }), context)).toMatchObject({ type: 'continue', epoch: 'e1' });
});

it('asks the batchers without a committed offset', () => {
  const nothing = facts({ committedOffset: null, committedMetadata: null });
  expect(startPosition(nothing, context)).toEqual({ type: 'askBatchers' });
});

it('asks the batchers where only a time is committed, and starts there if none knows the partition', () => {
  const unread = facts({ committedOffset: 0, committedMetadata: formatUnread(1_234), logEnd: 0 });
  const startFrom = { timestampMs: 1_234 };
  expect(startPosition(unread, context)).toEqual({ type: 'askBatchers', startFrom });
  expect(startPosition({ ...unread, logStart: 60, logEnd: 100 }, context)).toEqual({ type: 'askBatchers', startFrom });
  expect(startPosition(unread, { ...context, clusterId: null })).toEqual({ type: 'askBatchers', startFrom });
});

it('starts at the beginning where nothing may be skipped: a record without a time is found by no time', () => {
  const unread = facts({ committedOffset: 0, committedMetadata: formatUnread(0) });
  expect(startPosition(unread, context)).toEqual({ type: 'askBatchers', startFrom: 'earliest' });
});

it('begins a new epoch at the committed offset where somebody else committed it: a deliberate rewind is ingested again', () => {
  for (const committedMetadata of [null, '', 'something', 'ktb;e;l;c', 'ktbx;e1;8-key;c1']) {
    expect(startPosition(facts({ committedMetadata }), context)).toMatchObject({ type: 'newEpoch', offset: 50 });
  }
});

it('does not touch what a later version has committed', () => {
  for (const committedMetadata of [
    'ktb2;e1;8-key;c1',
    `${ours};parting`,
    `${ours};closing;more`,
    'ktb1;e1;8;c1',
    `${formatUnread(5)};more`,
  ]) {
    expect(startPosition(facts({ committedMetadata }), context)).toEqual({ type: 'newer' });
  }
});

it('begins a new epoch where a mirroring tool copied the offsets to another cluster', () => {
  expect(startPosition(facts(), { ...context, clusterId: 'c2' })).toMatchObject({ type: 'newEpoch', offset: 50 });
});

it('does not judge by itself a log that ends before what was committed or read: only its records tell', () => {
  const short = { type: 'shortLog', epoch: 'e1' };
  expect(startPosition(facts({ logEnd: 49 }), context)).toEqual({ ...short, position: 50 });
  expect(startPosition(facts({ logEnd: 60 }), { ...context, position: 70 })).toEqual({ ...short, position: 70 });
  expect(startPosition(facts({ logEnd: 70 }), { ...context, position: 70 })).toMatchObject({ type: 'continue' });
  // Nothing was read of it under this offset. From the log's start all would be ingested twice that batchers have.
  const tooShort = { short: { logEnd: 49, position: 50 } };
  const asked = { ...tooShort, type: 'askBatchers', startFrom: 'earliest' };
  expect(startPosition(facts({ logEnd: 49, committedMetadata: '' }), context)).toEqual(asked);
  // Nothing was read here.
  const reset = { ...tooShort, type: 'newEpoch', offset: 'earliest' };
  expect(startPosition(facts({ logEnd: 49 }), { ...context, clusterId: 'c2' })).toMatchObject(reset);
});

it('an offset within a transaction that is still open is in the log, whoever has committed it', () => {
  fc.assert(
    fc.property(
      fc.record({ committedOffset: fc.nat(20), logEnd: fc.nat(20), open: fc.nat(10), position: fc.nat(20) }),
      fc.constantFrom(ours, ''),
      fc.constantFrom('c1', 'c2'),
      ({ committedOffset, logEnd, open, position }, committedMetadata, clusterId) => {
        const highWatermark = logEnd + open;
        const of = facts({ committedOffset, committedMetadata, logEnd });
        const start = startPosition(of, { layout: LAYOUT, clusterId, position, highWatermark });
        const isOurs = committedMetadata === ours && clusterId === 'c1';
        const reached = isOurs ? Math.max(committedOffset, position) : committedOffset;
        const isShort = start.type === 'shortLog' || 'short' in start;
        expect(isShort).toBe(reached > highWatermark);
        if (!isShort) expect(start).toMatchObject({ type: isOurs ? 'continue' : 'newEpoch', offset: committedOffset });
      },
    ),
  );
});

const remembered = (offset: number) => ({ epoch: 'e1', offset, timestampMs: offset, crc32: offset, acceptedAtMs: 200 });
const verdicts = fc.oneof(
  fc.record({ type: fc.constant('same' as const), upTo: fc.nat(99), replaced: fc.boolean() }),
  fc.constantFrom({ type: 'other' as const }, { type: 'unproven' as const }),
);

it('reads a short log from its start only where a record proves another log; otherwise what it lost is told, once, to the position', () => {
  fc.assert(
    fc.property(verdicts, fc.nat(50), fc.boolean(), (verdict, logStart, isSameTopic) => {
      const start = afterShortLog(verdict, { logStart, logEnd: 100, position: 150, isSameTopic });
      const isOther = verdict.type === 'other' && !isSameTopic;
      expect(start.lost === null).toBe(isOther);
      if (isOther) expect(start.offset).toBe(logStart);
      else expect(start.lost).toEqual({ from: start.offset, to: 149 });
      if (verdict.type === 'unproven') expect(start.offset).toBe(100);
      // Others were written in the place of those that were lost, no one knows from where on.
      if (verdict.type === 'other' && isSameTopic) expect(start.offset).toBe(100);
      if (verdict.type === 'same') expect(start.offset).toBe(verdict.replaced ? verdict.upTo + 1 : 100);
    }),
  );
});

it('where Kafka does not tell its id, no epoch begins for that alone: the records of the log tell', () => {
  const unknown = startPosition(facts(), { ...context, clusterId: null });
  const ifSame = { type: 'continue', epoch: 'e1', offset: 50, missed: 0 } as const;
  expect(unknown).toEqual({ type: 'unknownCluster', epoch: 'e1', ifSame });
  const untold = formatCommitMetadata({ epoch: 'e1', layout: LAYOUT, clusterId: '', state: READING });
  expect(startPosition(facts({ committedMetadata: untold }), context)).toEqual(unknown);
  fc.assert(
    fc.property(fc.array(fc.nat(199)), verdicts, (offsets, verdict) => {
      const marks = offsets.map(remembered);
      const start = afterUnknownCluster(ifSame, marks, { logEnd: 100 }, verdict);
      const provenOther = verdict.type === 'other';
      const lacksWhatWasRead = verdict.type !== 'same' && offsets.some((offset) => offset >= 100);
      expect(start.type).toBe(provenOther || lacksWhatWasRead ? 'newEpoch' : 'continue');
      expect(start.offset).toBe(50);
    }),
  );
});

it('changes from the layout of the commit where ours is another', () => {
  const expected = { type: 'leaveLayout', epoch: 'e1', offset: 50, missed: 0, layout: LAYOUT };
  expect(startPosition(facts(), { ...context, layout: TWELVE })).toEqual(expected);
  const byPartition = { batchers: 8, keyFunction: 'partition' } as const;
  expect(startPosition(facts(), { ...context, layout: byPartition })).toEqual(expected);
  // As a pipeline that gets a second topic.
  expect(startPosition(facts(), { ...context, layout: { ...LAYOUT, keyless: 'topic' } })).toEqual(expected);
});

it('carries a layout change on that another member began, even back at the layout it left', () => {
  const closing = facts({ committedMetadata: metadata({ type: 'closing' }) });
  expect(startPosition(closing, context)).toMatchObject({ type: 'leaveLayout', layout: LAYOUT });
  expect(startPosition(closing, { ...context, layout: TWELVE })).toMatchObject({ type: 'leaveLayout', layout: LAYOUT });
});

it('fills holes up to the end of a rewind under the layout of the commit, then reads on', () => {
  const filling = facts({ committedMetadata: metadata({ type: 'filling', end: 60 }) });
  expect(startPosition(filling, { ...context, layout: TWELVE })).toMatchObject({
    type: 'fill',
    epoch: 'e1',
    offset: 50,
    end: 60,
    layout: LAYOUT,
  });
  expect(startPosition({ ...filling, committedOffset: 60 }, context)).toMatchObject({ type: 'continue', offset: 60 });
});

it('reads back the metadata it writes, whatever the key function', () => {
  for (const state of [READING, { type: 'closing' }, { type: 'filling', end: 7 }] as const) {
    for (const keyFunction of ['key', 'partition', 'header:a;b/ü', '/a;b/~1ü (c)'] as const) {
      for (const layout of [
        { batchers: 3, keyFunction },
        { batchers: 3, keyFunction, keyless: 'topic' },
      ] as const) {
        expect(parseCommitMetadata(metadata(state, layout))).toEqual({
          type: 'ours',
          epoch: 'e1',
          layout,
          clusterId: 'c1',
          state,
        });
      }
    }
  }
});

const mark = { epoch: 'e1', offset: 80, timestampMs: 1, crc32: 2, acceptedAtMs: 3 };
const accepted = { records: [], areAll: false };
const known: KnownEpoch = { layout: LAYOUT, mark, startOffset: 20, closed: false, accepted };
const where = { layout: LAYOUT, startFrom: 'latest' } as const;

it('without an offset and unknown to the batchers a partition starts where the configuration says', () => {
  expect(knownPosition(null, facts(), where)).toMatchObject({ type: 'newEpoch', offset: 'latest' });
});

it('without an offset but known to batchers, the log is compared with their last record', () => {
  const ifSame = { type: 'sameEpoch', epoch: 'e1', offset: 20, missed: 0, from: null, accepted: [] };
  expect(knownPosition(known, facts(), where)).toEqual({ type: 'compare', mark, ifSame });
  expect(knownPosition(known, facts({ logStart: 81 }), where)).toEqual({ ...ifSame, offset: 81 });
  expect(knownPosition(known, facts({ logStart: 90 }), where)).toEqual({ ...ifSame, offset: 90, missed: 9 });
  const short = { type: 'shortLog', epoch: 'e1', position: 81 };
  expect(knownPosition(known, facts({ logEnd: 80 }), where)).toEqual(short);
});

it('without an offset, the epoch of the topic that is there now goes on, whatever its log has lost: who has written it tells where', () => {
  const epoch = newEpoch('aaaaaaaa');
  const records = [
    { leaderEpoch: 3, from: 70 },
    { leaderEpoch: 4, from: 80 },
  ];
  const told = { ...known, mark: { ...mark, epoch }, accepted: { records, areAll: true } };
  const goesOn = { type: 'sameEpoch', epoch, offset: 20, missed: 0, from: null, accepted: records };
  for (const logEnd of [100, 80, 30])
    expect(knownPosition(told, facts({ topicId: 'aaaaaaaa', logEnd }), where)).toEqual(goesOn);
  // Nobody knows who has written one of them.
  const partly = { ...told, accepted: { records, areAll: false } };
  expect(knownPosition(partly, facts({ topicId: 'aaaaaaaa' }), where)).toMatchObject({ type: 'compare' });
  expect(knownPosition(partly, facts({ topicId: 'aaaaaaaa', logEnd: 80 }), where)).toMatchObject({ type: 'shortLog' });
});

it('without an offset, an epoch of another layout, or one that was being closed, is left in order', () => {
  expect(knownPosition(known, facts(), { ...where, layout: TWELVE })).toMatchObject({ ifSame: { from: LAYOUT } });
  expect(knownPosition({ ...known, closed: true }, facts(), where)).toMatchObject({ ifSame: { from: LAYOUT } });
});

it("an epoch of another topic is not continued without an offset: its next commit would be taken for the other log's", () => {
  const epoch = '0123456789ab.aaaaaa';
  const ofOther: KnownEpoch = { ...known, mark: { ...mark, epoch } };
  const topicId = 'bbbbbbbb00';
  const start = { type: 'newEpoch', reason: OTHER_LOG, isOtherTopic: true };
  expect(knownPosition(ofOther, facts({ topicId, logStart: 90 }), where)).toEqual({ ...start, offset: 90 });
  expect(knownPosition(ofOther, facts({ topicId, logStart: 5, logEnd: 80 }), where)).toEqual({ ...start, offset: 5 });
  // The log has a record at the mark, but it may be the new topic's own.
  expect(knownPosition(ofOther, facts({ topicId }), where)).toEqual({ ...start, offset: 0 });
  const former = { ...where, formerEpoch: 'e1' };
  expect(knownPosition(known, facts({ topicId, logStart: 90 }), former)).toEqual({ ...start, offset: 90 });
  expect(knownPosition(ofOther, facts({ topicId: 'aaaaaaaa00', logStart: 90 }), where)).toMatchObject({
    type: 'sameEpoch',
  });
});

it('knows the epoch that was sent last, over all layouts, and where it began', () => {
  const coverage = (epoch: string, offset: number, acceptedAtMs: number, ranges: [number, number][]) => ({
    topic: 'orders',
    partition: 0,
    epochs: [{ epoch, ranges }],
    mark: { ...mark, epoch, offset, acceptedAtMs },
  });
  expect(lastEpoch([])).toBeNull();
  expect(
    lastEpoch([
      { layout: LAYOUT, coverage: coverage('old', 99, 10, [[-1, 99]]) },
      { layout: TWELVE, coverage: coverage('new', 120, 30, [[110, 120]]) },
      { layout: TWELVE, coverage: coverage('new', 130, 20, [[99, 130]]) },
    ]),
  ).toMatchObject({ layout: TWELVE, mark: { epoch: 'new', offset: 130 }, startOffset: 100, closed: false });
});

it('knows the last offset that each batcher has accepted under an epoch, and who has written it', () => {
  const epochs = [{ epoch: 'e1', ranges: [[0, 3] as const, [5, 30] as const] }];
  const coverage = (of: object) => ({ topic: 'orders', partition: 0, epochs, mark: { ...mark, ...of } });
  const two = [coverage({ offset: 7, leaderEpoch: 2 }), coverage({ epoch: 'e2', offset: 9 })];
  // The chunk covers what comes after its last record, too: what stands there next would be dropped.
  expect(acceptedUnder('e1', two)).toEqual({ records: [{ leaderEpoch: 2, from: 30 }], areAll: true });
  expect(acceptedUnder('e2', two)).toEqual({ records: [], areAll: false });
});
