import { Cursor } from './cursor.js';
import { internalModule } from './internals.js';
import type { AbortedTransaction, RecordSet } from './recordSet.js';

/** A broker's answer to a Fetch request, in the form that kafkajs expects. */
export interface FetchResponse {
  /** Milliseconds that the broker has waited already. For the other one see KIP-219. */
  readonly throttleTime: number;
  readonly clientSideThrottleTime?: number;
  readonly responses: readonly TopicResponse[];
}

interface TopicResponse {
  readonly topicName: string;
  readonly partitions: readonly PartitionResponse[];
}

interface PartitionResponse {
  readonly partition: number;
  readonly errorCode: number;
  readonly highWatermark: string;
  readonly preferredReadReplica: number;
  /**
   * Always empty, because kafkajs's own filter for aborted records is wrong. {@link RecordSet} has the aborted
   * transactions.
   */
  readonly abortedTransactions: readonly never[];
  /**
   * Always empty. The list is the key for {@link recordSetOf}: the records are decoded when it is the partition's turn.
   */
  readonly messages: readonly never[];
}

const recordSets = new WeakMap<readonly never[], RecordSet>();

/** The record set of a partition's `messages`. @throws Error if {@link decodeFetchResponse} did not make them */
export function recordSetOf(messages: readonly never[]): RecordSet {
  const set = recordSets.get(messages);
  if (set === undefined) throw new Error('kafkajs hands out messages that are not of our decoder');
  return set;
}

/** What kafkajs makes of an answer. `parse` throws the whole answer away if it has an error for one partition. */
interface FetchResponseModule {
  decode: (payload: Buffer) => Promise<FetchResponse>;
  parse: (data: FetchResponse) => Promise<FetchResponse>;
}

/**
 * Has kafkajs decode answers by {@link decodeFetchResponse}, and leave the errors of partitions to
 * `partitionErrors.ts`. To be called once.
 */
export function repairFetchResponses(): void {
  for (const version of FETCH_VERSIONS) {
    const response = internalModule(`protocol/requests/fetch/v${version}/response`) as FetchResponseModule;
    response.decode = (payload) => Promise.resolve(payload).then((bytes) => decodeFetchResponse(version, bytes));
    response.parse = (data) => Promise.resolve(data);
  }
}

/** Versions 0 to 11, which kafkajs uses. */
const FETCH_VERSIONS = Array.from({ length: 12 }, (_, version) => version);

/**
 * Decodes an answer without the records.
 *
 * Source: `FetchResponse.json` of Apache Kafka.
 *
 * @throws MalformedError
 */
export function decodeFetchResponse(version: number, payload: Buffer): FetchResponse {
  const cursor = new Cursor(payload);
  const throttleTime = version >= 1 ? cursor.int32() : 0;
  if (version >= 7) cursor.skip(6); // An error and the id of a fetch session. kafkajs does not use sessions.
  const responses = list(cursor, () => {
    const topicName = text(cursor);
    return { topicName, partitions: list(cursor, () => decodePartition(version, cursor, topicName)) };
  });
  // From version 8 on the client has to wait.
  return version >= 8
    ? { throttleTime: 0, clientSideThrottleTime: throttleTime, responses }
    : { throttleTime, responses };
}

function decodePartition(version: number, cursor: Cursor, topic: string): PartitionResponse {
  const partition = cursor.int32();
  const errorCode = cursor.int16();
  const highWatermark = String(cursor.int64());
  if (version >= 4) cursor.skip(8); // Last stable offset.
  if (version >= 5) cursor.skip(8); // Start of the log.
  const aborted = version >= 4 ? list(cursor, () => decodeAborted(cursor)) : [];
  const preferredReadReplica = version >= 11 ? cursor.int32() : -1;
  const bytes = cursor.int32Bytes() ?? Buffer.alloc(0);
  const messages: never[] = [];
  recordSets.set(messages, { topic, partition, errorCode, bytes, beginsWhole: version >= 3, aborted });
  return { partition, errorCode, highWatermark, preferredReadReplica, abortedTransactions: [], messages };
}

function decodeAborted(cursor: Cursor): AbortedTransaction {
  const producerId = cursor.int64();
  return { producerId, firstOffset: Number(cursor.int64()) };
}

/** A length of -1 means null and gives an empty list. */
function list<Item>(cursor: Cursor, read: () => Item): Item[] {
  const items: Item[] = [];
  for (let left = cursor.int32(); left > 0; left--) items.push(read());
  return items;
}

function text(cursor: Cursor): string {
  const length = cursor.int16();
  const at = cursor.skip(length);
  return cursor.bytes.toString('utf8', at, at + length);
}
