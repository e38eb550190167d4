import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { repairKafkajs } from '../../src/kafka/kafkajs/repairs.js';
import { rangesOf, readRanges } from '../../src/kafka/readRanges.js';
import { Fixture } from '../support/fixture.js';
import { useStack } from '../support/useStack.js';

const stack = useStack();

// As the commands' own clients are.
beforeAll(repairKafkajs);
const RECORDS = 20_000;

afterEach(async () => {
  await stack().parts.kafka[0]?.start();
});

/** Offsets by partition, as they were handed over; the broker is killed on the way, and started again after a time or never. */
async function readAcrossOutage(outageMs: number, patienceMs?: number): Promise<Map<number, number[]>> {
  const [broker] = stack().parts.kafka;
  const fixture = await Fixture.create(stack(), { partitions: 4 });
  await fixture.produce(RECORDS, (id) => ({ value: JSON.stringify({ id, text: 'x'.repeat(1_000) }) }));
  const ranges = await rangesOf(fixture.admin, [fixture.topic]);
  const read = new Map<number, number[]>(ranges.map(({ partition }) => [partition, []]));
  let handed = 0;
  let restarted: Promise<void> | undefined;
  const reading = readRanges(
    fixture.kafka,
    fixture.admin,
    ranges,
    {
      record: async ({ offset }, { partition }) => {
        read.get(partition)?.push(offset);
        if (++handed === 1_000) {
          await broker?.kill();
          restarted = Number.isFinite(outageMs) ? sleep(outageMs).then(() => broker?.start()) : Promise.resolve();
        }
        return false;
      },
      passedOver: ({ reason }) => expect.unreachable(reason),
    },
    patienceMs,
  );
  await reading.finally(() => restarted);
  for (const { partition, from, to } of ranges)
    expect(read.get(partition)).toEqual(Array.from({ length: to - from }, (_, index) => from + index));
  return read;
}

it('a broker that is away for half a minute in the middle of a read costs it nothing, and nothing comes twice', async () => {
  const read = await readAcrossOutage(30_000);
  expect([...read.values()].flat()).toHaveLength(RECORDS);
});

it('a broker that does not come back ends it in an error that says how far it came', async () => {
  await expect(readAcrossOutage(Infinity, 20_000)).rejects.toThrow(/the log was not read to its end: .* up to offset/);
});
