import kafkajs, { type Cluster } from 'kafkajs';
import { expect, it } from 'vitest';
import { fencingAssigner } from '../../../src/kafka/fencingAssigner.js';

it('ends the old assignment before the group hears that this member joins again, each time', () => {
  const events: string[] = [];
  const create = fencingAssigner(
    () => events.push('ended'),
    () => undefined,
    () => undefined,
  );
  const assigner = create({
    cluster: {} as Cluster,
    groupId: 'g',
    logger: new kafkajs.Kafka({ brokers: ['x:1'] }).logger(),
  });
  expect(events).toEqual([]);
  for (let joins = 1; joins <= 2; joins++) {
    const { name } = assigner.protocol({ topics: ['orders'] });
    events.push(`joins as ${name}`);
  }
  expect(events).toEqual(['ended', 'joins as RoundRobinAssigner', 'ended', 'joins as RoundRobinAssigner']);
});
