import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, expect, it } from 'vitest';
import { VERSIONS } from '../../stack/versions.js';
import { repairKafkajs } from '../../src/kafka/kafkajs/repairs.js';
import type { PassedOver } from '../../src/kafka/readRanges.js';
import { readTopic } from '../../src/kafka/readTopic.js';
import type { KafkaRecord } from '../../src/protocol/record.js';
import { Fixture } from '../support/fixture.js';
import { pythonWith } from '../../stack/python.js';
import { reportSetUp, useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
const SCRIPT = fileURLToPath(new URL('../support/librdkafka.py', import.meta.url));
/** Of each codec three hundred records without a transaction, and as many in one that is committed. */
const RECORDS = 5 * 2 * 300;

beforeAll(repairKafkajs);

it('reads what librdkafka writes byte for byte: every codec, headers, nulls, transactions', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  const python = await pythonWith('confluent-kafka', VERSIONS.confluentKafka, reportSetUp);
  const parameters = [SCRIPT, stack().kafka.brokers.join(), fixture.topic];
  const { stdout } = await promisify(execFile)(python, parameters, { timeout: 120_000, maxBuffer: 64 * 1024 * 1024 });
  const written = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { offset: number });
  expect(written).toHaveLength(RECORDS);

  const text = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString('base64'));
  const read: object[] = [];
  const handle = ({ offset, timestampMs, key, value, headers }: KafkaRecord): void => {
    const named = headers.map(([name, bytes]) => [name, text(bytes)]);
    read.push({ offset, timestampMs, key: text(key), value: text(value), headers: named });
  };
  const passedOver = ({ reason }: PassedOver): never => expect.unreachable(reason);
  await readTopic(fixture.kafka, fixture.admin, fixture.topic, handle, passedOver);
  expect(read).toEqual(written.sort((one, other) => one.offset - other.offset));
}, 600_000);
