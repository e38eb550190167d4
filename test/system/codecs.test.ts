import { CompressionTypes } from 'kafkajs';
import { expect, it } from 'vitest';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { produceByJava } from '../support/javaClients.js';
import { useStack } from '../support/useStack.js';

const stack = useStack({ flavour: 'native' });
let fixture: Fixture;

const RECORDS = 2_000;

/** Records of a codec, with ids from the first on. */
function* lines(codec: string, firstId: number): Iterable<string> {
  for (let id = firstId; id < firstId + RECORDS; id++)
    yield `key-${id % 7}\t${JSON.stringify({ id, text: `${codec} `.repeat(20) })}`;
}

it('reads records that Kafka’s Java producer compressed with each codec', async () => {
  fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  await Daemon.start(fixture.config());
  const codecs = ['gzip', 'snappy', 'lz4', 'zstd'];
  const target = { brokers: stack().kafka.brokers, topic: fixture.topic };
  for (const [index, codec] of codecs.entries()) await produceByJava(target, codec, lines(codec, index * RECORDS));
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(codecs.length * RECORDS));
  const counts = await fixture.query(
    `SELECT splitByChar(' ', text)[1] AS codec, uniqExact(id) AS ids, count() AS rows FROM ${fixture.table} GROUP BY codec ORDER BY codec`,
  );
  expect(counts).toEqual(codecs.toSorted().map((codec) => ({ codec, ids: RECORDS, rows: RECORDS })));
});

it('passes over a batch that decompresses to more than 256 MiB, says so, and reads what lies behind it', async () => {
  fixture = await Fixture.create(stack(), { partitions: 1 });
  await fixture.collectAcks();
  const daemon = await Daemon.start(fixture.config());
  await fixture.produce(10);
  const mebibyte = Buffer.alloc(1024 * 1024);
  const messages = Array.from({ length: 257 }, () => ({ value: mebibyte }));
  await fixture.producer.send({ topic: fixture.topic, compression: CompressionTypes.GZIP, messages });
  await fixture.produce(10);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(20), 60_000);
  expect(await daemon.metric('ktb_unreadable_batches_total')).toBe(1);
  expect(daemon.output).toContain(`the record batch at offset 10 of ${fixture.topic}/0 cannot be read`);
  await eventually(async () => expect((await fixture.offsets())[0]).toMatchObject({ committed: 277, end: 277 }));
}, 180_000);
