import { internalModule } from './internals.js';
import { newEncoding, type Encoding, type ProtocolRequest } from './protocolRequest.js';

/** What is to be committed for a partition. */
interface OutgoingCommit {
  readonly partition: number;
  readonly offset: string;
  readonly metadata?: string | null;
  /** The leader epoch of the record before the offset. Absent or null if that is not known. */
  readonly leaderEpoch?: number | null;
}

interface CommitRequest {
  readonly groupId: string;
  readonly groupGenerationId: number;
  readonly memberId: string;
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly OutgoingCommit[] }[];
}

/** What is committed for a partition, as Kafka answers it. */
export interface RawCommit {
  readonly partition: number;
  readonly offset: string;
  /** -1: none. Absent if the broker is older than Kafka 2.1. */
  readonly leaderEpoch?: number;
  readonly metadata: string | null;
}

/** The answer to an OffsetFetch request. */
export interface RawCommits {
  readonly responses: readonly { readonly topic: string; readonly partitions: readonly RawCommit[] }[];
}

/** `protocol/decoder` of kafkajs. */
interface Decoding {
  readInt16: () => number;
  readInt32: () => number;
  readInt64: () => bigint;
  readString: () => string | null;
  readArray: <Item>(item: (decoding: Decoding) => Item) => Item[];
}

/** A request of kafkajs in one of the versions that it knows. */
interface Definition {
  versions: readonly (number | string)[];
  protocol: (version: { version: number }) => (asked: unknown) => ProtocolRequest<unknown>;
}

const NO_EPOCH = -1;

let repaired = false;

/**
 * Lets kafkajs commit, with an offset, the leader epoch of the record before it, and fetch it again (KIP-320). By it, a member that
 * has read nothing of a log yet notices that the log was cut since, and has grown past the commit again. kafkajs knows only the
 * versions before those that have it. Brokers older than Kafka 2.1 are asked as before, and keep none. A second call does
 * nothing.
 *
 * @see https://kafka.apache.org/protocol.html#The_Messages_OffsetCommit, version 6, and OffsetFetch, version 5
 */
export function repairCommits(): void {
  if (repaired) return;
  repaired = true;
  addVersion('offsetCommit', (asked, { request, response }) => {
    return { request: { ...request, encode: () => Promise.resolve(encodeCommits(asked as CommitRequest)) }, response };
  });
  addVersion('offsetFetch', (_, { request, response }) => {
    return { request, response: { ...response, decode: (raw) => Promise.resolve(raw).then(decodeCommits) } };
  });
}

/** Adds the version after the last one that kafkajs knows. @param change makes it from that one */
function addVersion(
  name: string,
  change: (asked: unknown, last: ProtocolRequest<unknown>) => ProtocolRequest<unknown>,
): void {
  const definition = internalModule(`protocol/requests/${name}`) as Definition;
  const { versions, protocol } = definition;
  const last = Math.max(...versions.map(Number));
  definition.versions = [...versions, last + 1];
  definition.protocol = ({ version }) => {
    if (version <= last) return protocol({ version });
    return (asked) => {
      const { request, response } = change(asked, protocol({ version: last })(asked));
      return { request: { ...request, apiVersion: version }, response };
    };
  };
}

/** `group generation member [topic [partition offset leader_epoch metadata]]` */
function encodeCommits({ groupId, groupGenerationId, memberId, topics }: CommitRequest): Encoding {
  const ofTopics = topics.map(({ topic, partitions }) =>
    newEncoding()
      .writeString(topic)
      .writeArray(
        partitions.map(({ partition, offset, leaderEpoch, metadata }) =>
          newEncoding()
            .writeInt32(partition)
            .writeInt64(offset)
            .writeInt32(leaderEpoch ?? NO_EPOCH)
            .writeString(metadata ?? null),
        ),
      ),
  );
  return newEncoding().writeString(groupId).writeInt32(groupGenerationId).writeString(memberId).writeArray(ofTopics);
}

/** `throttle_time [topic [partition offset leader_epoch metadata error]] error` */
function decodeCommits(raw: Buffer) {
  const Decoder = internalModule('protocol/decoder') as new (raw: Buffer) => Decoding;
  const answer = new Decoder(raw);
  return {
    // The broker has answered before it throttles: kafkajs has to wait, as with the versions before.
    throttleTime: 0,
    clientSideThrottleTime: answer.readInt32(),
    responses: answer.readArray((topic) => ({
      topic: topic.readString() ?? '',
      partitions: topic.readArray((partition) => ({
        partition: partition.readInt32(),
        offset: String(partition.readInt64()),
        leaderEpoch: partition.readInt32(),
        metadata: partition.readString(),
        errorCode: partition.readInt16(),
      })),
    })),
    errorCode: answer.readInt16(),
  };
}
