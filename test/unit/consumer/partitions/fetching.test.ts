import fc from 'fast-check';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import { AssignedPartition, type PauseReason } from '../../../../src/consumer/partitions/assignedPartition.js';
import { Fetching } from '../../../../src/consumer/partitions/fetching.js';
import { partitionName } from '../../../../src/protocol/record.js';

const REASONS: readonly PauseReason[] = ['start', 'held', 'buffer', 'draining'];
/** As they are at the beginning of an assignment. */
const assigned = () =>
  [
    { topic: 'a', partition: 0 },
    { topic: 'a', partition: 1 },
    { topic: 'b', partition: 0 },
  ].map((where) => new AssignedPartition(where));

type List = { topic: string; partitions?: number[] }[];

/** kafkajs as far as it pauses: by partition, for no reason that it knows. */
function consumer() {
  const paused = new Set<string>();
  const names = (list: List) =>
    list.flatMap(({ topic, partitions = [] }) => partitions.map((partition) => partitionName({ topic, partition })));
  return {
    paused,
    seek: () => undefined,
    pause: (list: List) => names(list).forEach((name) => paused.add(name)),
    resume: (list: List) => names(list).forEach((name) => paused.delete(name)),
  };
}

const step = fc.record({
  pause: fc.boolean(),
  partition: fc.nat(assigned().length - 1),
  reason: fc.constantFrom(...REASONS),
});

it('a partition is fetched exactly while no reason is left, whatever the order in which reasons come and go', () => {
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const partitions = assigned();
      const kafkajs = consumer();
      const fetching = new Fetching(kafkajs, pino({ level: 'silent' }));
      const reasons = new Map(partitions.map((where) => [partitionName(where), new Set<PauseReason>(['start'])]));
      fetching.begin(partitions, 'start');
      for (const { pause, partition, reason } of steps) {
        const where = partitions[partition]!;
        if (pause) fetching.pause([where], reason);
        else fetching.resume([where], reason);
        if (pause) reasons.get(partitionName(where))!.add(reason);
        else reasons.get(partitionName(where))!.delete(reason);
        for (const [name, left] of reasons) expect(kafkajs.paused.has(name)).toBe(left.size > 0);
        for (const each of REASONS)
          expect(fetching.count(each)).toBe([...reasons.values()].filter((left) => left.has(each)).length);
      }
    }),
  );
});

it('a partition that waits for a person is not fetched again because there is room in the buffer', () => {
  const kafkajs = consumer();
  const fetching = new Fetching(kafkajs, pino({ level: 'silent' }));
  const [where] = assigned() as [AssignedPartition];
  fetching.pause([where], 'buffer');
  fetching.pause([where], 'held');
  fetching.resume([where], 'buffer');
  expect(kafkajs.paused).toEqual(new Set(['a/0']));
});

it('what an assignment was paused for before is forgotten with the next one', () => {
  const kafkajs = consumer();
  const fetching = new Fetching(kafkajs, pino({ level: 'silent' }));
  const [before] = assigned() as [AssignedPartition];
  fetching.pause([before], 'buffer');
  const [where] = assigned() as [AssignedPartition];
  fetching.begin([where], 'start');
  expect([where.isPausedFor('buffer'), fetching.count('buffer')]).toEqual([false, 0]);
  fetching.resume([where], 'start');
  expect(kafkajs.paused.size).toBe(0);
});
