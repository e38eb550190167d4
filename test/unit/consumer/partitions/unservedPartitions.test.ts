import { expect, it } from 'vitest';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { NOT_AUTHORIZED } from '../../../../src/kafka/errorType.js';
import { UnservedPartitions } from '../../../../src/consumer/partitions/unservedPartitions.js';
import { createMetrics } from '../../../../src/telemetry/metrics.js';

it('counts each partition once that Kafka does not serve, by topic, but none that waits for a person', async () => {
  const { unserved: gauge } = createMetrics({ runtime: false });
  const unserved = new UnservedPartitions('p', gauge);
  const counts = async () =>
    Object.fromEntries((await gauge.get()).values.map(({ labels, value }) => [String(labels.topic), value]));
  const assignment = new Assignment({ a: [0, 1], b: [0, 1] });

  unserved.count(assignment, [], 0);
  expect(await counts()).toEqual({ a: 2, b: 2 });

  for (const partition of assignment.partitions) partition.leave({ topic: partition.topic, partition: 0, epoch: 'e' });
  const [a0, a1, b0, b1] = assignment.partitions;
  a0!.brokerAnswers(NOT_AUTHORIZED, 0);
  a1!.brokerAnswers('KAFKA_STORAGE_ERROR', 0);
  b0!.hold('unreadable', 'its checksum is wrong');
  b0!.brokerAnswers(NOT_AUTHORIZED, 0);
  unserved.count(assignment, [], 1);
  expect(await counts()).toEqual({ a: 1, b: 0 });
  unserved.count(assignment, [a0!, { topic: 'gone', partition: -1 }, { topic: 'b', partition: -1 }], 60_000);
  expect(await counts()).toEqual({ a: 2, b: 0, gone: 1 });
  unserved.count(assignment, [b1!], 60_000);
  expect(await counts()).toEqual({ a: 2, b: 1, gone: 0 });

  unserved.count(null, [b1!], 60_000);
  expect(await counts()).toEqual({ a: 0, b: 0, gone: 0 });
});
