import { expect, it } from 'vitest';
import { formatCommitMetadata, formatUnread, READING } from '../../../../src/consumer/partitions/commitMetadata.js';
import { planRewind } from '../../../../src/consumer/partitions/rewindPlan.js';
import { startPosition } from '../../../../src/consumer/partitions/startPosition.js';
import { LAYOUT } from '../../../support/trackers.js';

const ours = { epoch: 'e1', layout: LAYOUT, clusterId: 'c1', state: READING };
const facts = {
  committedOffset: 100,
  committedMetadata: formatCommitMetadata(ours),
  logStart: 10,
  logEnd: 200,
  target: 40,
  clusterId: 'c1',
};
const start = (offset: number, metadata: string) =>
  startPosition(
    { committedOffset: offset, committedMetadata: metadata, logStart: 10, logEnd: 200 },
    { layout: LAYOUT, clusterId: 'c1' },
  );

it('fills holes under the same epoch up to the end of the log: what was inserted last need not be committed', () => {
  const plan = planRewind(facts, { again: false });
  if (plan.type !== 'commit') throw new Error(plan.reason);
  expect(start(plan.offset, plan.metadata)).toMatchObject({ type: 'fill', epoch: 'e1', offset: 40, end: 200 });
});

it('goes further back while an earlier rewind is still under way', () => {
  const filling = formatCommitMetadata({ ...ours, state: { type: 'filling', end: 150 } });
  const plan = planRewind({ ...facts, committedMetadata: filling, target: 0 }, { again: false });
  if (plan.type !== 'commit') throw new Error(plan.reason);
  expect(start(plan.offset, plan.metadata)).toMatchObject({ type: 'fill', offset: 10, end: 200 });
});

it('leaves a partition alone that was never read: its offset says nothing', () => {
  for (const again of [true, false]) {
    const plan = planRewind({ ...facts, committedOffset: 0, committedMetadata: formatUnread(5) }, { again });
    expect(plan).toEqual({
      type: 'leave',
      why: 'nothing',
      reason: expect.stringContaining('never read') as string,
    });
  }
});

it('ingests again under a new epoch with --again', () => {
  const plan = planRewind(facts, { again: true });
  if (plan.type !== 'commit') throw new Error(plan.reason);
  expect(start(plan.offset, plan.metadata)).toMatchObject({ type: 'newEpoch', offset: 40 });
});

it('leaves alone what it must not touch, and says why', () => {
  const closing = formatCommitMetadata({ ...ours, state: { type: 'closing' } });
  for (const [changed, why, reason] of [
    [{ committedOffset: 200, target: 300 }, 'nothing', /end of the log/],
    [{ committedOffset: null }, 'nothing', /no offset/],
    [{ committedMetadata: null }, 'problem', /--again/],
    [{ committedMetadata: 'ktb9;x' }, 'problem', /later version/],
    [{ clusterId: null }, 'problem', /does not tell/],
    [{ clusterId: 'c2' }, 'problem', /another cluster/],
    [{ committedMetadata: closing }, 'problem', /another layout/],
  ] as const) {
    expect(planRewind({ ...facts, ...changed }, { again: false })).toMatchObject({
      type: 'leave',
      why,
      reason: expect.stringMatching(reason) as string,
    });
  }
});

it('fills from the committed offset where that is before the target', () => {
  expect(planRewind({ ...facts, target: 150 }, { again: false })).toMatchObject({ type: 'commit', offset: 100 });
  expect(planRewind({ ...facts, target: 150 }, { again: true })).toMatchObject({ type: 'leave', why: 'nothing' });
});
