import fc from 'fast-check';
import { expect, it } from 'vitest';
import { dividePartitions, type Subscriber } from '../../../src/kafka/partitionAssignment.js';

const TOPICS = ['a', 'b', 'c', '__proto__', 'constructor'] as const;

const subscribers = fc.uniqueArray(
  fc.record({ memberId: fc.string({ minLength: 1 }), topics: fc.subarray([...TOPICS]) }),
  { selector: ({ memberId }) => memberId, maxLength: 8 },
);
/** The number of partitions of each topic. */
const counts = fc.tuple(...TOPICS.map(() => fc.nat(20)));

const partitionsOf = (numbers: readonly number[]) => (topic: string) =>
  Array.from({ length: numbers[TOPICS.indexOf(topic as (typeof TOPICS)[number])] ?? 0 }, (_, partition) => partition);

const divide = (members: readonly Subscriber[], numbers: readonly number[]) =>
  dividePartitions(members, partitionsOf(numbers));

it('every partition of every topic that somebody reads goes to exactly one member, which reads it, and no other one to anybody', () => {
  fc.assert(
    fc.property(subscribers, counts, (members, numbers) => {
      const given = [...divide(members, numbers)].flatMap(([memberId, assignment]) => {
        const reads = members.find((member) => member.memberId === memberId)?.topics ?? [];
        expect(Object.keys(assignment).filter((topic) => !reads.some((read) => read === topic))).toEqual([]);
        return Object.entries(assignment).flatMap(([topic, list]) => list.map((partition) => `${topic}/${partition}`));
      });
      const due = TOPICS.filter((topic) => members.some(({ topics }) => topics.includes(topic))).flatMap((topic) =>
        partitionsOf(numbers)(topic).map((partition) => `${topic}/${partition}`),
      );
      expect(given.sort()).toEqual(due.sort());
    }),
  );
});

it('members that read the same topics get as many partitions as each other, or one more', () => {
  fc.assert(
    fc.property(subscribers, counts, (members, numbers) => {
      const divided = divide(members, numbers);
      const shares = new Map<string, number[]>();
      for (const { memberId, topics } of members) {
        const same = topics.join();
        shares.set(same, [...(shares.get(same) ?? []), Object.values(divided.get(memberId) ?? {}).flat().length]);
      }
      for (const share of shares.values()) expect(Math.max(...share) - Math.min(...share)).toBeLessThanOrEqual(1);
    }),
  );
});

it('members that read all topics give way to nobody, and those that read fewer get the share that is left', () => {
  const both = { memberId: 'both', topics: ['a', 'b'] };
  const one = { memberId: 'one', topics: ['a'] };
  const divided = divide([both, one], [4, 2]);
  expect(Object.fromEntries(divided)).toEqual({ both: { a: [2], b: [0, 1] }, one: { a: [0, 1, 3] } });
});

it('the same members and partitions are divided in the same way, whatever their order', () => {
  fc.assert(
    fc.property(subscribers, counts, (members, numbers) => {
      const reversed = [...members].reverse().map((member) => ({ ...member, topics: [...member.topics].reverse() }));
      const backwards = dividePartitions(reversed, (topic) => [...partitionsOf(numbers)(topic)].reverse());
      const plain = (divided: ReturnType<typeof divide>) => new Map([...divided].map(([id, own]) => [id, { ...own }]));
      expect(plain(backwards)).toEqual(plain(divide(members, numbers)));
    }),
  );
});
