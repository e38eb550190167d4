import { expect, it } from 'vitest';
import { formatCommitMetadata, parseCommitMetadata } from '../../../src/consumer/commitMetadata.js';
import { startPosition, type PartitionFacts } from '../../../src/consumer/startPosition.js';

const ours = formatCommitMetadata({ epoch: 'e1', layout: '8-key', clusterId: 'c1' });
const context = { layout: '8-key', clusterId: 'c1', startFrom: 'latest' } as const;
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

it('begins a new epoch at startFrom without a committed offset', () => {
  expect(startPosition(facts({ committedOffset: null, committedMetadata: null }), context)).toMatchObject({
    type: 'newEpoch',
    offset: 'latest',
  });
});

it('begins a new epoch at the committed offset where somebody else committed it: a deliberate rewind is ingested again', () => {
  for (const committedMetadata of [null, '', 'something', 'ktb2;e;l;c', 'ktb1;;8-key;c1', `${ours};more`]) {
    expect(startPosition(facts({ committedMetadata }), context)).toMatchObject({ type: 'newEpoch', offset: 50 });
  }
});

it('begins a new epoch where a mirroring tool copied the offsets to another cluster', () => {
  expect(startPosition(facts(), { ...context, clusterId: 'c2' })).toMatchObject({ type: 'newEpoch', offset: 50 });
});

it('begins a new epoch at the log start where the log is shorter than the committed offset: it is another log', () => {
  expect(startPosition(facts({ logEnd: 49 }), context)).toMatchObject({ type: 'newEpoch', offset: 'earliest' });
});

it('does not read under another layout', () => {
  expect(startPosition(facts(), { ...context, layout: '12-key' })).toEqual({
    type: 'layoutChanged',
    committedLayout: '8-key',
  });
});

it('reads back the metadata it writes', () => {
  expect(parseCommitMetadata(ours)).toEqual({ epoch: 'e1', layout: '8-key', clusterId: 'c1' });
});
