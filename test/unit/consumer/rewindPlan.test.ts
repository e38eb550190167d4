import { expect, it } from 'vitest';
import { formatCommitMetadata, READING } from '../../../src/consumer/commitMetadata.js';
import { planRewind } from '../../../src/consumer/rewindPlan.js';
import { startPosition } from '../../../src/consumer/startPosition.js';
import { LAYOUT } from '../../support/trackers.js';

const ours = { epoch: 'e1', layout: LAYOUT, clusterId: 'c1', state: READING };
const facts = { committedOffset: 100, committedMetadata: formatCommitMetadata(ours), logStart: 10, target: 40 };
const start = (offset: number, metadata: string) =>
  startPosition(
    { committedOffset: offset, committedMetadata: metadata, logStart: 10, logEnd: 200 },
    { layout: LAYOUT, clusterId: 'c1' },
  );

it('fills holes under the same epoch up to where the group was', () => {
  const plan = planRewind(facts, { again: false });
  if (plan.type !== 'commit') throw new Error(plan.reason);
  expect(start(plan.offset, plan.metadata)).toMatchObject({ type: 'fill', epoch: 'e1', offset: 40, end: 100 });
});

it('goes further back while an earlier rewind is still under way, and keeps its end', () => {
  const filling = formatCommitMetadata({ ...ours, state: { type: 'filling', end: 150 } });
  const plan = planRewind({ ...facts, committedMetadata: filling, target: 0 }, { again: false });
  if (plan.type !== 'commit') throw new Error(plan.reason);
  expect(start(plan.offset, plan.metadata)).toMatchObject({ type: 'fill', offset: 10, end: 150 });
});

it('ingests again under a new epoch with --again', () => {
  const plan = planRewind(facts, { again: true });
  if (plan.type !== 'commit') throw new Error(plan.reason);
  expect(start(plan.offset, plan.metadata)).toMatchObject({ type: 'newEpoch', offset: 40 });
});

it('leaves alone what it must not touch, and says why', () => {
  const closing = formatCommitMetadata({ ...ours, state: { type: 'closing' } });
  for (const [changed, reason] of [
    [{ target: 100 }, /not further/],
    [{ committedOffset: null }, /no offset/],
    [{ committedMetadata: null }, /--again/],
    [{ committedMetadata: 'ktb9;x' }, /later version/],
    [{ committedMetadata: closing }, /another layout/],
  ] as const) {
    expect(planRewind({ ...facts, ...changed }, { again: false })).toMatchObject({
      type: 'leave',
      reason: expect.stringMatching(reason) as string,
    });
  }
});
