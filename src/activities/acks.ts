import { AckValues } from '../codecs/ackValues.js';
import { MessageList } from '../kafka/messageList.js';
import type { MessageRefusal } from '../kafka/messageRefusal.js';
import type { OutgoingMessage } from '../kafka/outgoingMessage.js';
import { PackedMessage } from '../kafka/packedMessage.js';
import { ackHeaders, type AckStatus, type Rejection } from '../protocol/ack.js';
import { PackedRecord } from '../protocol/packedRecord.js';
import {
  placeName,
  type HeaderValues,
  type KafkaRecord,
  type RecordPlace,
  type RecordSource,
  type SourcedRecord,
} from '../protocol/record.js';
import { REPLY_HEADERS } from '../protocol/replyRequest.js';

/** A record whose answer is decided, with its rejection if it was rejected. */
export interface DecidedRecord extends SourcedRecord {
  readonly rejection?: Rejection;
  /** The partition for its acknowledgement. Without one the key decides. */
  readonly replyPartition?: number;
}

/** The acknowledgements of records. They are written one by one: as objects they would take as much memory as a batch. */
export class Acknowledgements extends MessageList {
  readonly #records: readonly DecidedRecord[];
  readonly #copyHeaders: readonly string[];
  readonly #status: AckStatus;
  readonly #batch: string;
  readonly #values = new Map<RecordSource, AckValues>();

  constructor(records: readonly DecidedRecord[], copyHeaders: readonly string[], status: AckStatus, batch: string) {
    super();
    this.#records = records;
    this.#copyHeaders = copyHeaders;
    this.#status = status;
    this.#batch = batch;
  }

  get length(): number {
    return this.#records.length;
  }

  fill(index: number, message: PackedMessage): void {
    const { source, record, rejection, replyPartition } = this.#records[index] as DecidedRecord;
    const value = this.#valuesOf(source).of(record.offset, rejection);
    message.value = value;
    message.partition = replyPartition;
    message.headers = record.headers.length === 0 ? undefined : this.#headersOf(record, value);
    if (record instanceof PackedRecord) message.setKeyIn(record.keys, record.keyAt, record.keyLength);
    else message.setKey(record.key);
  }

  at(index: number): OutgoingMessage {
    const message = new PackedMessage();
    this.fill(index, message);
    return message.toMessage();
  }

  #valuesOf(source: RecordSource): AckValues {
    let values = this.#values.get(source);
    if (values === undefined) this.#values.set(source, (values = new AckValues(source, this.#status, this.#batch)));
    return values;
  }

  #headersOf(record: KafkaRecord, value: Buffer): HeaderValues | undefined {
    return ackHeaders(record, this.#copyHeaders, this.#status === 'rejected' ? Buffer.from(value) : undefined);
  }
}

/** Header of an acknowledgement that was too large for its topic, so that its key and copied headers were left out. */
const ACK_REDUCED = 'ktb.ack.reduced';
/** Header of an acknowledgement whose key the topic refused. Its key is the record's topic, partition and offset. */
const ACK_KEYED = 'ktb.ack.keyed';

/**
 * The acknowledgement to publish in place of one that its topic refuses. If it was too large, only the value is kept,
 * and the correlation id if that is short. If it was not valid, for example without a key in a compacted topic, it gets
 * another key, and after that loses its headers. Undefined if there is nothing left to try.
 */
export function amendAck(message: OutgoingMessage, refusal: MessageRefusal): OutgoingMessage | undefined {
  if (refusal === 'record' && !isMarked(message, ACK_KEYED)) return keyedAck(message);
  return isMarked(message, ACK_REDUCED) ? undefined : reducedAck(message);
}

function isMarked({ headers = {} }: OutgoingMessage, mark: string): boolean {
  return Object.hasOwn(headers, mark);
}

function keyedAck(message: OutgoingMessage): OutgoingMessage {
  const place = JSON.parse(String(message.value)) as RecordPlace;
  return { ...message, key: Buffer.from(placeName(place)), headers: { ...message.headers, [ACK_KEYED]: '1' } };
}

function reducedAck({ key, value, partition, headers = {} }: OutgoingMessage): OutgoingMessage {
  const isKeyed = Object.hasOwn(headers, ACK_KEYED);
  const correlationId = headers[REPLY_HEADERS.correlationId];
  const keepsId = correlationId !== undefined && (correlationId?.length ?? 0) <= CORRELATION_ID_BYTES_MAX;
  return {
    key: isKeyed ? key : null,
    value,
    headers: {
      ...(keepsId ? { [REPLY_HEADERS.correlationId]: correlationId } : {}),
      ...(isKeyed ? { [ACK_KEYED]: '1' } : {}),
      [ACK_REDUCED]: '1',
    },
    ...(partition === undefined ? {} : { partition }),
  };
}

/** Correlation ids have some ten bytes. A longer one than this may be the reason why the message was too large. */
const CORRELATION_ID_BYTES_MAX = 1_024;
