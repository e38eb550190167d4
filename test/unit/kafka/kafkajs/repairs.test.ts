import { createRequire } from 'node:module';
import type { Offsets } from 'kafkajs';
import { expect, it, vi } from 'vitest';
import { internalModule, type Repairable } from '../../../../src/kafka/kafkajs/internals.js';
import {
  KAFKAJS_VERSION,
  KafkajsVersionError,
  mustBeKnown,
  repairKafkajs,
} from '../../../../src/kafka/kafkajs/repairs.js';
import packageJson from '../../../../package.json' with { type: 'json' };

it('another version of kafkajs than the one that is repaired is refused, in words', () => {
  for (const version of ['2.2.3', '2.2.5', '2.3.0', '3.0.0', '2.2.4-beta.1'])
    expect(() => mustBeKnown(version)).toThrow(KafkajsVersionError);
  expect(() => mustBeKnown('2.3.0')).toThrow(
    'kafkajs 2.3.0 is installed, and ktb replaces inner parts of kafkajs 2.2.4',
  );
});

it('the version that is repaired is the one that is installed, and no other is ever installed', () => {
  const { version } = createRequire(import.meta.url)('kafkajs/package.json') as { version: string };
  expect(KAFKAJS_VERSION).toBe(version);
  expect(packageJson.dependencies.kafkajs).toBe(version);
});

it('repairs kafkajs once in a process, also where there is another copy of the repairs', async () => {
  repairKafkajs();
  const { prototype } = internalModule('consumer/consumerGroup') as Repairable<{ fetch: unknown }>;
  const { fetch } = prototype;
  vi.resetModules();
  const copy = await import('../../../../src/kafka/kafkajs/repairs.js');
  expect(copy.repairKafkajs).not.toBe(repairKafkajs);
  copy.repairKafkajs();
  expect(prototype.fetch).toBe(fetch);
});

it('a commit of a consumer that has crashed is rejected as its group rejects it, and does not count as done', async () => {
  repairKafkajs();
  const { prototype } = internalModule('consumer/runner') as Repairable<{
    commitOffsets: (this: object, offsets: Offsets) => Promise<void>;
  }>;
  const consumerGroup = { commitOffsets: () => Promise.reject(new Error('no connection')) };
  const crashed = { running: false, consumerGroup, logger: { debug: () => undefined } };
  await expect(prototype.commitOffsets.call(crashed, { topics: [] })).rejects.toThrow('no connection');
});
