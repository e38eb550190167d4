import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { KAFKA_JARS } from '../../stack/native/kafka.js';
import { jarDirectory } from '../../stack/native/maven.js';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useStack } from '../support/useStack.js';

const stack = useStack({ flavour: 'native' });
let fixture: Fixture;

const RECORDS = 2_000;

/** Kafka's own Java producer, so that the compressed batches are those of other people's programs. */
async function produceByJava(codec: string, firstId: number): Promise<void> {
  const classPath = join(jarDirectory(KAFKA_JARS), 'jars', '*');
  const producer = ['org.apache.kafka.tools.ConsoleProducer', '--topic', fixture.topic, '--compression-codec', codec];
  const options = ['--bootstrap-server', stack().kafka.brokers.join(), '--reader-property', 'parse.key=true'];
  const child = spawn('java', ['-cp', classPath, ...producer, ...options], { stdio: ['pipe', 'ignore', 'pipe'] });
  let errors = '';
  child.stderr.on('data', (text: Buffer) => (errors += text.toString()));
  for (let id = firstId; id < firstId + RECORDS; id++) {
    child.stdin.write(`key-${id % 7}\t${JSON.stringify({ id, text: `${codec} `.repeat(20) })}\n`);
  }
  child.stdin.end();
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect(code, errors).toBe(0);
}

it('reads records that Kafka’s Java producer compressed with each codec', async () => {
  fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  await Daemon.start(fixture.config());
  const codecs = ['gzip', 'snappy', 'lz4', 'zstd'];
  for (const [index, codec] of codecs.entries()) await produceByJava(codec, index * RECORDS);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(codecs.length * RECORDS));
  const counts = await fixture.query(
    `SELECT splitByChar(' ', text)[1] AS codec, uniqExact(id) AS ids, count() AS rows FROM ${fixture.table} GROUP BY codec ORDER BY codec`,
  );
  expect(counts).toEqual(codecs.toSorted().map((codec) => ({ codec, ids: RECORDS, rows: RECORDS })));
});
