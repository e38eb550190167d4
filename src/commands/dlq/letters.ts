import type { Kafka } from 'kafkajs';
import type { PipelineConfig } from '../../config/config.js';
import type { KafkaAdmin } from '../../kafka/admin.js';
import type { PassedOver } from '../../kafka/readRanges.js';
import { readTopic } from '../../kafka/readTopic.js';
import { readDeadLetter, type DeadLetter, type RecordPart } from '../../protocol/deadLetter.js';
import { partitionName, placeName, type KafkaRecord } from '../../protocol/record.js';
import { tellPassedOver } from '../shared/passedOver.js';

/** A dead letter and its place. */
export interface Letter extends DeadLetter {
  readonly record: KafkaRecord;
  readonly partition: number;
}

/** Which dead letters a command is about. Empty lists choose all. */
export interface Choice {
  /** Rejection codes. */
  readonly code: readonly string[];
  /** Places of the original records: `topic/partition/offset`. */
  readonly record: readonly string[];
}

/** Chooses all dead letters. */
export const NO_CHOICE: Choice = { code: [], record: [] };

/**
 * Calls `handle` with each chosen dead letter of a pipeline, and names what was not found: one of several choices may be
 * mistyped.
 *
 * @param first see {@link readTopic}
 * @returns whether all could be read
 */
export async function forEachLetter(
  kafka: Kafka,
  admin: KafkaAdmin,
  pipeline: PipelineConfig,
  { code, record: places }: Choice,
  handle: (letter: Letter) => Promise<void> | void,
  first?: ReadonlyMap<number, number>,
): Promise<boolean> {
  // A letter is chosen only if both its code and its record are. So one that has the other of them does not count.
  const codeText = (name: string): string => `code ${name}${places.length > 0 ? ' and one of these records' : ''}`;
  const placeText = (place: string): string =>
    `record ${place}${code.length > 0 ? ` and code ${code.join(' or ')}` : ''}`;
  const unseen = new Set([...code.map(codeText), ...places.map(placeText)]);
  const handleRecord = (record: KafkaRecord, partition: number): Promise<void> | void => {
    const letter = { ...readDeadLetter(record), record, partition };
    // Pipelines may share a dead-letter topic.
    if (letter.pipeline !== null && letter.pipeline !== pipeline.name) return;
    if (code.length > 0 && !code.includes(letter.code)) return;
    if (places.length > 0 && !places.includes(placeOf(letter))) return;
    unseen.delete(codeText(letter.code));
    unseen.delete(placeText(placeOf(letter)));
    return handle(letter);
  };
  const passedOver = (unreadable: PassedOver): void => {
    tellPassedOver(unreadable);
    process.exitCode = 1;
  };
  const unread = await readTopic(kafka, admin, deadLetterTopic(pipeline), handleRecord, passedOver, first);
  for (const name of unseen) console.error(`no dead letter of pipeline ${pipeline.name} has the ${name}`);
  for (const { topic, partition, from, to } of unread)
    console.error(
      `${partitionName({ topic, partition })} was read up to offset ${from} of ${to}: a transaction is open there. The rest can be read once it has ended`,
    );
  if (unseen.size > 0 || unread.length > 0) process.exitCode = 1;
  return unread.length === 0;
}

/** The place of the original record: `topic/partition/offset`. Empty if the dead letter does not say it. */
export function placeOf({ source }: DeadLetter): string {
  return source === null ? '' : placeName(source);
}

/** The topic that a pipeline writes its dead letters to. */
export function deadLetterTopic({ settings }: PipelineConfig): string {
  return settings.destination.deadLetterTopic;
}

/** The parts of the original record that the dead letter lacks, because they were too large. */
export function omittedParts({ omittedBytes }: Letter): RecordPart[] {
  return (['value', 'key', 'headers'] as const).filter((part) => omittedBytes[part] !== null);
}
