import type { KafkaMessage } from 'kafkajs';
import { expect } from 'vitest';
import { parseCommitMetadata } from '../../src/consumer/partitions/commitMetadata.js';
import { fetchLogOffsets } from '../../src/kafka/offsets.js';
import { eventually } from './eventually.js';
import type { Fixture } from './fixture.js';

/** A commit that the broker took. */
interface Committed {
  readonly partition: number;
  readonly offset: number;
  readonly epoch: string;
}

const OFFSETS_TOPIC = '__consumer_offsets';

/**
 * Every commit of a fixture's group to its input topic, in the order in which the broker took them: the log of the group
 * coordinator, which misses nothing, as a look at the group's offsets from time to time would.
 */
async function commitLog(fixture: Fixture): Promise<Committed[]> {
  const ends = new Map(
    (await fetchLogOffsets(fixture.admin, [OFFSETS_TOPIC])).map(({ partition, logEnd }) => [partition, logEnd]),
  );
  const messages: KafkaMessage[] = [];
  const next = new Map<number, number>();
  const consumer = fixture.kafka.consumer({
    groupId: `${fixture.name}.commit-log.${Date.now()}`,
    maxWaitTimeInMs: 100,
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [OFFSETS_TOPIC], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatch: ({ batch }) => {
      // A consumer that joins again begins at the start again.
      const from = next.get(batch.partition) ?? 0;
      messages.push(...batch.messages.filter(({ offset }) => Number(offset) >= from));
      next.set(batch.partition, Math.max(from, Number(batch.lastOffset()) + 1));
      return Promise.resolve();
    },
  });
  try {
    await eventually(() => {
      const unread = [...ends].filter(([partition, end]) => (next.get(partition) ?? 0) < end);
      expect(unread).toEqual([]);
    });
  } finally {
    await consumer.disconnect();
  }
  // A group lives in one partition of this topic, so that the order of its commits is kept.
  return messages.flatMap((message) => decodeCommit(fixture, message));
}

/**
 * No commit of a partition ever went backward under an unchanged epoch, and none came back to an epoch that another one
 * had replaced: what a member commits that is no longer the owner.
 */
export async function expectCommitsForward(fixture: Fixture): Promise<void> {
  const commits = await commitLog(fixture);
  expect(new Set(commits.map(({ partition }) => partition)).size).toBe((await fixture.offsets()).length);
  expect(backwardSteps(commits)).toEqual([]);
}

function backwardSteps(commits: readonly Committed[]): string[] {
  const last = new Map<number, Committed>();
  const replaced = new Set<string>();
  const steps: string[] = [];
  for (const commit of commits) {
    const before = last.get(commit.partition);
    last.set(commit.partition, commit);
    if (before === undefined) continue;
    if (before.epoch !== commit.epoch) replaced.add(`${before.partition};${before.epoch}`);
    const backward = before.epoch === commit.epoch && commit.offset < before.offset;
    if (backward || replaced.has(`${commit.partition};${commit.epoch}`))
      steps.push(`partition ${commit.partition}: ${before.offset};${before.epoch} to ${commit.offset};${commit.epoch}`);
  }
  return steps;
}

/** Kafka's `OffsetCommitKey` and `OffsetCommitValue`; nothing where the message is something else. */
function decodeCommit(fixture: Fixture, { key, value }: KafkaMessage): Committed[] {
  if (key === null || value === null || key.readInt16BE(0) > 1) return [];
  const group = readText(key, 2);
  const topic = readText(key, group.end);
  if (group.text !== `ktb-${fixture.name}` || topic.text !== fixture.topic) return [];
  const version = value.readInt16BE(0);
  if (version !== 4) throw new Error(`a commit of version ${version}, which nothing here can read`);
  // Behind the offset (8 bytes) and the leader's epoch (4) the metadata, with its length plus one in a byte: it is short.
  const metadata = value.toString('utf8', 15, 14 + value.readUInt8(14));
  const parsed = parseCommitMetadata(metadata);
  const epoch = parsed.type === 'ours' ? parsed.epoch : metadata;
  return [{ partition: key.readInt32BE(topic.end), offset: Number(value.readBigInt64BE(2)), epoch }];
}

/** A text behind its length in two bytes. */
function readText(bytes: Buffer, at: number): { text: string; end: number } {
  const end = at + 2 + bytes.readInt16BE(at);
  return { text: bytes.toString('utf8', at + 2, end), end };
}
