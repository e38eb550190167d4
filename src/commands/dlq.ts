import Table from 'cli-table3';
import type { Kafka } from 'kafkajs';
import type { PipelineConfig } from '../config/config.js';
import { loadConfig } from '../config/load.js';
import { isInputTopic, type TopicChoice } from '../config/topics.js';
import type { KafkaAdmin } from '../kafka/admin.js';
import { producerFactory } from '../kafka/producers.js';
import { Publisher } from '../kafka/publisher.js';
import type { OutgoingMessage } from '../kafka/outgoingMessage.js';
import type { PassedOver } from '../kafka/readRanges.js';
import { readTopic } from '../kafka/readTopic.js';
import {
  FOREIGN_SIGNAL,
  originalHeaders,
  originalKey,
  readDeadLetter,
  type DeadLetter,
  UNREADABLE_CHUNK,
  type RecordPart,
} from '../protocol/deadLetter.js';
import { NO_TIMESTAMP, partitionName, placeName, recordBytes, timeText, type KafkaRecord } from '../protocol/record.js';
import { Interruption } from '../lib/interruption.js';
import { messageOf } from '../lib/messageOf.js';
import { ownBytes } from '../lib/ownBytes.js';
import { UsageError } from '../lib/usageError.js';
import { withKafka } from './shared/connections.js';
import { pipelineNamed } from './shared/chosen.js';
import { tellPassedOver } from './shared/passedOver.js';
import { parsePlace } from './shared/recordFacts.js';

/** A dead letter and its place. */
interface Letter extends DeadLetter {
  readonly record: KafkaRecord;
  readonly partition: number;
}

/** Which dead letters a command is about. Empty lists choose all. */
interface Choice {
  /** Rejection codes. */
  readonly code: readonly string[];
  /** Places of the original records: `topic/partition/offset`. */
  readonly record: readonly string[];
}

/** Different reasons to list, at most. Another program's messages may all differ. */
const REASONS_MAX = 1_000;

/** Records are collected up to this size and then published together. */
const WAITING_BYTES_MAX = 64 * 1024;

interface Reason {
  readonly code: string;
  readonly message: string;
  readonly letters: number;
  /** The place of the first record: `topic/partition/offset`. */
  readonly first: string;
}

/** `ktb dlq list`: counts dead letters by reason. */
export async function listDeadLetters(
  pipeline: string | undefined,
  { config: file, json }: { config: string; json: boolean },
): Promise<void> {
  const config = loadConfig(file);
  const pipelines = pipeline === undefined ? config.pipelines : [pipelineNamed(config, pipeline)];
  // A topic that is missing, or may not be read, hides no other.
  const problems: string[] = [];
  await withKafka(config, async (kafka, admin) => {
    for (const chosen of pipelines) {
      const { name } = chosen;
      try {
        const reasons = await countReasons(kafka, admin, chosen);
        if (json) console.log(JSON.stringify({ pipeline: name, topic: deadLetterTopic(chosen), reasons }));
        else printReasons(chosen, reasons);
      } catch (error) {
        problems.push(`pipeline ${name}: ${messageOf(error)}`);
      }
    }
  });
  if (problems.length > 0) throw new Error(problems.join('\n'));
}

/** The reasons of a pipeline's dead letters, the most frequent one first. */
async function countReasons(kafka: Kafka, admin: KafkaAdmin, pipeline: PipelineConfig): Promise<Reason[]> {
  const reasons = new Map<string, Reason>();
  await forEachLetter(kafka, admin, pipeline, NO_CHOICE, (letter) => {
    const { code } = letter;
    // Which row of a record it was is no reason of its own.
    const reason = letter.message.replace(/^row \d+: /, 'a row: ');
    const known = reasons.get(`${code}\n${reason}`);
    const message = known !== undefined || reasons.size < REASONS_MAX ? reason : '(other messages)';
    const name = `${code}\n${message}`;
    const before = reasons.get(name) ?? { code, message, letters: 0, first: placeOf(letter) };
    reasons.set(name, { ...before, letters: before.letters + 1 });
  });
  return [...reasons.values()].sort((a, b) => b.letters - a.letters);
}

function printReasons(pipeline: PipelineConfig, reasons: readonly Reason[]): void {
  const total = reasons.reduce((sum, { letters }) => sum + letters, 0);
  console.log(`pipeline ${pipeline.name}: ${total.toLocaleString('en')} dead letters on ${deadLetterTopic(pipeline)}`);
  if (total === 0) return;
  const table = new Table({ head: ['letters', 'code', 'message', 'first'], style: PLAIN });
  for (const { letters, code, message, first } of reasons)
    table.push([letters.toLocaleString('en'), code, message, first]);
  console.log(table.toString());
}

/** `ktb dlq show`: prints dead letters one by one, with their values only if asked for. */
export async function showDeadLetters(
  pipeline: string,
  options: Choice & { config: string; limit: number; values: boolean },
): Promise<void> {
  options.record.forEach(parsePlace);
  const config = loadConfig(options.config);
  const chosen = pipelineNamed(config, pipeline);
  let shown = 0;
  await withKafka(config, (kafka, admin) =>
    forEachLetter(kafka, admin, chosen, options, (letter) => {
      if (shown++ < options.limit) console.log(JSON.stringify(describe(letter, options.values)));
    }),
  );
  if (shown > options.limit) console.error(`${shown - options.limit} more; --limit shows them`);
}

/** One line of `ktb dlq show`. Bytes that are no UTF-8 appear as replacement characters. */
function describe(letter: Letter, values: boolean): object {
  const { record, code, message, omittedBytes, ownTimestampMs } = letter;
  const timestampMs = ownTimestampMs ?? record.timestampMs;
  const omitted = omittedParts(letter).map((part) => [`${part}Omitted`, true]);
  const headers = Object.entries(originalHeaders(record)).map(([name, list]) => [name, list.map(String)]);
  return {
    record: placeOf(letter),
    letter: `${letter.partition}/${record.offset}`,
    ...(timestampMs === NO_TIMESTAMP ? {} : { timestamp: timeText(timestampMs) }),
    code,
    message,
    key: originalKey(record)?.toString() ?? null,
    bytes: omittedBytes.value ?? record.value?.length ?? null,
    ...(Object.fromEntries(omitted) as object),
    ...(values ? { headers: Object.fromEntries(headers) as object, value: record.value?.toString() ?? null } : {}),
  };
}

/**
 * `ktb dlq replay`: publishes chosen records to their topics again, so that they are inserted and answered like new
 * ones. SIGINT or SIGTERM ends it after the portion that is being published, with its report.
 */
export async function replayDeadLetters(
  pipeline: string,
  options: Choice & { config: string; after?: readonly string[]; all: boolean; dryRun: boolean },
): Promise<void> {
  if (!options.all && options.code.length === 0 && options.record.length === 0)
    throw new UsageError('say which dead letters: --code, --record, or --all');
  options.record.forEach(parsePlace);
  const after = parseAfter(options.after ?? []);
  const config = loadConfig(options.config);
  const chosen = pipelineNamed(config, pipeline);
  const readAgain = (topic: string): readonly string[] => readAgainText(topic, chosen, config.pipelines);
  const report = new ReplayReport(options.dryRun, readAgain, after);
  const decide = replayDecisions(chosen, after);
  const interruption = new Interruption();
  try {
    await withKafka(config, async (kafka, admin) => {
      const publisher = new Publisher({ createProducer: producerFactory(kafka) });
      const waiting = new WaitingReplays((portion) => report.publish(publisher, portion));
      try {
        const decideAndPublish = async (letter: Letter): Promise<void> => {
          interruption.check();
          const decision = decide(letter);
          if (decision.type === 'leave') report.left(decision.obstacle);
          else if (decision.type === 'passOver') report.passedOver(letter);
          else if (decision.type === 'replay' && options.dryRun) report.replayed(decision.topic, 1);
          else if (decision.type === 'replay') await waiting.add(decision.topic, letter);
        };
        const isAll = await forEachLetter(kafka, admin, chosen, options, decideAndPublish, after);
        interruption.check();
        await waiting.publish();
        if (!isAll) report.isUnfinished();
      } catch (error) {
        report.isUnfinished();
        throw error;
      } finally {
        await publisher.close();
      }
    });
  } finally {
    // Printed also after an error: these records were published, and somebody who repeats the command has to know it.
    report.print();
    interruption.close();
  }
  if (report.isEmpty) console.log('no such dead letters');
  if (!report.isWhole) process.exitCode = 1;
}

/** What a replay does with a dead letter. */
type ReplayDecision =
  | { readonly type: 'replay'; readonly topic: string }
  /** An earlier replay has published it, or left it. */
  | { readonly type: 'isReplayed' }
  /** A further dead letter of a record that is replayed. */
  | { readonly type: 'passOver' }
  | { readonly type: 'leave'; readonly obstacle: string };

/**
 * Decides about one dead letter after the other. Those that an earlier replay was for have to come first, in all
 * partitions.
 *
 * @param after see {@link parseAfter}
 */
function replayDecisions(
  pipeline: PipelineConfig,
  after: ReadonlyMap<number, number>,
): (letter: Letter) => ReplayDecision {
  const seen = new Set<string>();
  return (letter) => {
    const { record, partition, source, ownTimestampMs } = letter;
    // A rewind or a repeated batch may write a second dead letter for a record. A record of another log has another
    // time.
    const name = `${placeOf(letter)}@${ownTimestampMs ?? record.timestampMs}`;
    const obstacle = obstacleTo(letter, pipeline);
    if (record.offset <= (after.get(partition) ?? -1)) {
      if (obstacle === null) seen.add(name);
      return { type: 'isReplayed' };
    }
    if (obstacle !== null || source === null) return { type: 'leave', obstacle: obstacle ?? '' };
    if (seen.has(name)) return { type: 'passOver' };
    seen.add(name);
    return { type: 'replay', topic: source.topic };
  };
}

/** Records of dead letters on their way to their topics, by topic. */
type Portion = ReadonlyMap<string, readonly Replay[]>;

/** Records of dead letters that wait until they are {@link WAITING_BYTES_MAX}. Then they are published together. */
class WaitingReplays {
  readonly #publish: (portion: Portion) => Promise<void>;
  readonly #byTopic = new Map<string, Replay[]>();
  #bytes = 0;

  constructor(publish: (portion: Portion) => Promise<void>) {
    this.#publish = publish;
  }

  async add(topic: string, read: Letter): Promise<void> {
    // What is read is a part of the broker's whole answer, and would keep all of it alive.
    const record = copyOf(read.record);
    const letter = { ...read, record };
    // Published with the present time. With its own time, the topic might remove it at once as too old.
    const message = { letter, key: originalKey(record), value: record.value, headers: originalHeaders(record) };
    const ofTopic = this.#byTopic.get(topic);
    if (ofTopic === undefined) this.#byTopic.set(topic, [message]);
    else ofTopic.push(message);
    this.#bytes += recordBytes(record);
    if (this.#bytes >= WAITING_BYTES_MAX) await this.publish();
  }

  /** Publishes all that wait. */
  async publish(): Promise<void> {
    await this.#publish(this.#byTopic);
    this.#byTopic.clear();
    this.#bytes = 0;
  }
}

function copyOf(record: KafkaRecord): KafkaRecord {
  const { offset, timestampMs, key, value, headers } = record;
  return {
    offset,
    timestampMs,
    key: ownBytes(key),
    value: ownBytes(value),
    headers: headers.map(([name, bytes]) => [name, ownBytes(bytes)]),
  };
}

/** The record of a dead letter on its way to its topic. */
export interface Replay extends OutgoingMessage {
  readonly letter: Letter;
}

/** Letters that a topic refused and that are named, at most. */
const REFUSED_SHOWN = 100;

/** What became of the dead letters of one replay. */
export class ReplayReport {
  readonly #dryRun: boolean;
  readonly #readAgain: (topic: string) => readonly string[];
  /** Records that a topic has taken, by topic. */
  readonly #replayed = new Map<string, number>();
  /** Letters that cannot be replayed, by the obstacle. */
  readonly #left = new Map<string, number>();
  /** Place of the letter and its record, and why the topic refused it. */
  readonly #refused: string[] = [];
  #refusals = 0;
  #passedOver = 0;
  /** By partition, the first letter that was passed over since the last portion: its record may be in the next one. */
  readonly #firstPassedOver = new Map<number, number>();
  /** By partition of the dead-letter topic, the last letter before which nothing is left to be replayed. */
  readonly #last: Map<number, number>;
  /** Records that a topic has taken although letters before theirs were not replayed. */
  #takenAhead = 0;
  #isUnfinished = false;
  /** Set if publishing failed: records that the topic may have or not. */
  #unknown: { readonly topic: string; readonly records: number; readonly first: string } | null = null;

  /**
   * @param readAgain see {@link readAgainText}
   * @param after see {@link parseAfter}
   */
  constructor(
    dryRun: boolean,
    readAgain: (topic: string) => readonly string[],
    after: ReadonlyMap<number, number> = new Map(),
  ) {
    this.#readAgain = readAgain;
    this.#last = new Map(after);
    this.#dryRun = dryRun;
  }

  /** @throws PublishError */
  async publish(publisher: Publisher, portion: Portion): Promise<void> {
    const all = [...portion.values()].flat();
    const open = new Set(all);
    const refused = new Set<Replay>();
    try {
      for (const [topic, messages] of portion) await this.#publishTo(publisher, topic, messages, { open, refused });
    } finally {
      // A later letter, of another topic or for another partition, may have been faster than one that failed. A further
      // letter of a record that failed must not count as done, or the record would count as replayed with it.
      const firstOpen = new Map(open.size > 0 ? this.#firstPassedOver : []);
      for (const { letter } of open) noteFirst(firstOpen, letter);
      this.#firstPassedOver.clear();
      for (const message of all) {
        const { partition, record } = message.letter;
        if (record.offset < (firstOpen.get(partition) ?? Infinity))
          this.#last.set(partition, Math.max(this.#last.get(partition) ?? -1, record.offset));
        else if (!open.has(message) && !refused.has(message)) this.#takenAhead++;
      }
    }
  }

  async #publishTo(
    publisher: Publisher,
    topic: string,
    messages: readonly Replay[],
    { open, refused }: { readonly open: Set<Replay>; readonly refused: Set<Replay> },
  ): Promise<void> {
    try {
      await publisher.publishEach(topic, messages, {
        taken: (some) => {
          for (const message of some) open.delete(message);
          this.replayed(topic, some.length);
        },
        refused: (message, reason) => {
          open.delete(message);
          refused.add(message);
          this.#refusals++;
          const { partition, record } = message.letter;
          const text = `${placeOf(message.letter)} (dead letter ${partition}/${record.offset}): topic ${topic} refuses it: ${reason}`;
          if (this.#refused.length < REFUSED_SHOWN) this.#refused.push(text);
        },
      });
    } finally {
      const unknown = messages.filter((message) => open.has(message));
      const [first] = unknown;
      if (first !== undefined) this.#unknown = { topic, records: unknown.length, first: placeOf(first.letter) };
    }
  }

  replayed(topic: string, records: number): void {
    count(this.#replayed, topic, records);
  }

  left(obstacle: string): void {
    count(this.#left, obstacle);
  }

  /** A signal or an error has ended it, or not all could be read. What was not replayed is not in the report. */
  isUnfinished(): void {
    this.#isUnfinished = true;
  }

  /** A further dead letter of a record. */
  passedOver(letter: Letter): void {
    this.#passedOver++;
    noteFirst(this.#firstPassedOver, letter);
  }

  get isEmpty(): boolean {
    return this.#replayed.size === 0 && this.#left.size === 0 && this.#refusals === 0;
  }

  get isWhole(): boolean {
    return this.#left.size === 0 && this.#refusals === 0;
  }

  print(): void {
    const did = this.#dryRun ? 'would be replayed' : 'replayed';
    for (const [topic, records] of this.#replayed) {
      console.log(`${records} ${did} to ${topic}`);
      for (const text of this.#readAgain(topic)) console.log(text);
    }
    if (this.#unknown !== null) {
      const { topic, records, first } = this.#unknown;
      console.log(`${records} more may have been replayed to ${topic}, from ${first} on: see the error`);
    }
    if (this.#passedOver > 0) console.log(`${this.#passedOver} passed over: further dead letters of the same records`);
    for (const [obstacle, records] of this.#left) console.log(`${records} left: ${obstacle}`);
    for (const text of this.#refused) console.log(`left: ${text}`);
    const more = this.#refusals - this.#refused.length;
    if (more > 0) console.log(`${more} more left, which their topics refuse`);
    this.#printHowToGoOn();
  }

  #printHowToGoOn(): void {
    if (!this.#isUnfinished) return;
    const options = this.#dryRun ? [] : [...this.#last].map(([partition, offset]) => ` --after ${partition}/${offset}`);
    if (options.length > 0)
      console.log(
        `not all was looked at. The same command would begin anew, and make rows twice. To go on, repeat it with${options.join('')}`,
      );
    else console.log('not all was looked at. To go on, repeat the command');
    if (this.#takenAhead > 0)
      console.log(`${this.#takenAhead} of those that were replayed will be replayed again then, and become rows twice`);
  }
}

/**
 * The dead letters after which a replay begins, by partition of the dead-letter topic: `0/1067`.
 *
 * @throws UsageError
 */
export function parseAfter(texts: readonly string[]): ReadonlyMap<number, number> {
  return new Map(
    texts.map((text) => {
      const [, partition, offset] = /^(\d{1,9})\/(\d{1,15})$/.exec(text) ?? [];
      if (partition === undefined)
        throw new UsageError(`${text} is no place on the dead-letter topic: say partition/offset, such as 0/1067`);
      return [Number(partition), Number(offset)] as const;
    }),
  );
}

/** Says which other pipelines of the configuration get the records of a topic again, too. Empty if there are none. Pure. */
export function readAgainText(
  topic: string,
  replayed: Pick<PipelineConfig, 'name'>,
  pipelines: readonly (TopicChoice & Pick<PipelineConfig, 'name'>)[],
): readonly string[] {
  const others = pipelines.filter(({ name, ...choice }) => name !== replayed.name && isInputTopic(choice, topic));
  return others.map(({ name }) => `pipeline ${name} reads ${topic}, too, and gets these records again, as new ones`);
}

/** Why a dead letter cannot be replayed. Null if it can. */
function obstacleTo(letter: Letter, pipeline: PipelineConfig): string | null {
  const { source, code } = letter;
  if (code === FOREIGN_SIGNAL) return 'a signal to a batcher, and no record';
  if (code === UNREADABLE_CHUNK) return 'a chunk that cannot be unpacked: `ktb rewind` reads its records again';
  if (source === null) return 'its headers do not say which topic it came from';
  if (!isInputTopic(pipeline, source.topic)) return `topic ${source.topic} is no input topic of the pipeline`;
  const [omitted] = omittedParts(letter);
  if (omitted !== undefined) return `without its ${omitted}, too large for the dead-letter topic`;
  return null;
}

function omittedParts({ omittedBytes }: Letter): RecordPart[] {
  return (['value', 'key', 'headers'] as const).filter((part) => omittedBytes[part] !== null);
}

const NO_CHOICE: Choice = { code: [], record: [] };
const PLAIN = { head: [], border: [] };

/**
 * Calls `handle` with each chosen dead letter of a pipeline, and names what was not found: one of several choices may be
 * mistyped.
 *
 * @param first see {@link readTopic}
 * @returns whether all could be read
 */
async function forEachLetter(
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

function placeOf({ source }: DeadLetter): string {
  return source === null ? '' : placeName(source);
}

function deadLetterTopic({ settings }: PipelineConfig): string {
  return settings.destination.deadLetterTopic;
}

/** Keeps the lowest offset of each partition. */
function noteFirst(first: Map<number, number>, { partition, record }: Letter): void {
  first.set(partition, Math.min(first.get(partition) ?? Infinity, record.offset));
}

function count(counts: Map<string, number>, name: string, more = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + more);
}
