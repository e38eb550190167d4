import type { OutgoingMessage } from '../../kafka/outgoingMessage.js';
import { ownBytes } from '../../lib/ownBytes.js';
import { originalHeaders, originalKey } from '../../protocol/deadLetter.js';
import { recordBytes, type KafkaRecord } from '../../protocol/record.js';
import { replayedHeaders } from '../../protocol/replayedRecord.js';
import type { Letter } from './letters.js';

/** Records are collected up to this size and then published together. */
const WAITING_BYTES_MAX = 64 * 1024;

/** The record of a dead letter on its way to its topic. */
export interface Replay extends OutgoingMessage {
  readonly letter: Letter;
}

/** Records of dead letters on their way to their topics, by topic. */
export type Portion = ReadonlyMap<string, readonly Replay[]>;

/** Records of dead letters that wait until they are {@link WAITING_BYTES_MAX}. Then they are published together. */
export class WaitingReplays {
  readonly #publish: (portion: Portion) => Promise<void>;
  readonly #keepsOffset: (topic: string) => boolean;
  readonly #byTopic = new Map<string, Replay[]>();
  #bytes = 0;

  /** @param keepsOffset whether the offset that a topic's records had at first has to be known */
  constructor(publish: (portion: Portion) => Promise<void>, keepsOffset: (topic: string) => boolean) {
    this.#publish = publish;
    this.#keepsOffset = keepsOffset;
  }

  async add(topic: string, read: Letter): Promise<void> {
    // What is read is a part of the broker's whole answer, and would keep all of it alive.
    const record = copyOf(read.record);
    const letter = { ...read, record };
    // Published with the present time. With its own time, the topic might remove it at once as too old.
    const own = originalHeaders(record);
    const { source } = letter;
    const headers = source !== null && this.#keepsOffset(topic) ? replayedHeaders(own, source.offset) : own;
    const message = { letter, key: originalKey(record), value: record.value, headers };
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
