import { expect, it } from 'vitest';
import { decideBy, PATCHES, type VersionedBehaviour } from '../../../src/workflows/versions.js';

it('asks whether a run follows a behaviour only if it makes a difference: asking leaves a mark', () => {
  const asked: VersionedBehaviour[] = [];
  const follows = (answer: boolean) => (behaviour: VersionedBehaviour) => {
    asked.push(behaviour);
    return answer;
  };
  expect(decideBy(follows(true), 'continuation', 1, 1)).toBe(1);
  expect(asked).toEqual([]);
  expect(decideBy(follows(true), 'continuation', 1, 2)).toBe(1);
  expect(decideBy(follows(false), 'payloadLimit', 1, 2)).toBe(2);
  expect(asked).toEqual(['continuation', 'payloadLimit']);
});

it('keeps the ids that stand in histories', () => {
  expect(PATCHES).toEqual({
    requests: 'requests',
    parking: 'parking',
    foreignSignals: 'foreign-signals',
    continuation: 'continuation',
    payloadLimit: 'payload-limit',
    requestLimit: 'request-limit',
    waitedInLane: 'waited-in-lane',
    installations: 'installations',
  });
});
