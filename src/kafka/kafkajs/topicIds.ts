import { Cursor } from './cursor.js';
import { ONLY_BROKERS, type RawMetadata } from './metadata.js';
import { newEncoding, protocolRequest, type Encoding, type ProtocolRequest } from './protocolRequest.js';

/** The first version of Metadata whose answer has the ids of topics (Kafka 2.8). kafkajs knows versions up to 6. */
export const TOPIC_IDS_VERSION = 10;

const UUID_BYTES = 16;
const NO_ID = '0'.repeat(2 * UUID_BYTES);
/** The key of the API. */
export const METADATA = 3;

/**
 * A Metadata request of version 10, whose answer says the id of each topic: a topic that was deleted and created again
 * has another one.
 *
 * @see https://kafka.apache.org/protocol.html#The_Messages_Metadata
 */
export function topicIdsRequest(topics: readonly string[]): ProtocolRequest<RawMetadata> {
  const named = topics[0] === ONLY_BROKERS ? [] : topics;
  const api = { apiKey: METADATA, apiVersion: TOPIC_IDS_VERSION, apiName: 'Metadata' };
  return protocolRequest(api, () => encode(named), decodeTopicIds);
}

function encode(topics: readonly string[]): Encoding {
  // The header that kafkajs writes lacks the tags that the header of this version ends with.
  const out = newEncoding()
    .writeInt8(0)
    .writeUVarInt(topics.length + 1);
  for (const topic of topics) {
    out.writeBufferInternal(Buffer.alloc(UUID_BYTES));
    out.writeUVarIntBytes(topic).writeInt8(0);
  }
  // Without creation of topics, and without rights of the cluster and of topics. Then no tags.
  return out.writeInt8(0).writeInt8(0).writeInt8(0).writeInt8(0);
}

/** Decodes an answer to {@link topicIdsRequest}. @throws MalformedError */
export function decodeTopicIds(raw: Buffer): RawMetadata {
  const answer = new Cursor(raw);
  skipTags(answer); // Of the header.
  answer.skip(4); // Throttle time.
  const brokers = list(answer, () => {
    const broker = { nodeId: answer.int32(), host: text(answer) ?? '', port: answer.int32() };
    text(answer); // Rack.
    skipTags(answer);
    return broker;
  });
  const clusterId = text(answer);
  answer.skip(4); // Controller.
  const topicMetadata = list(answer, () => {
    const topicErrorCode = answer.int16();
    const topic = text(answer) ?? '';
    const at = answer.skip(UUID_BYTES);
    const id = raw.toString('hex', at, at + UUID_BYTES);
    answer.skip(1); // Whether it is internal.
    const partitionMetadata = list(answer, () => {
      const partition = {
        partitionErrorCode: answer.int16(),
        partitionId: answer.int32(),
        leader: answer.int32(),
      };
      answer.skip(4); // Leader epoch.
      const replicas = list(answer, () => answer.int32());
      list(answer, () => answer.int32()); // In sync.
      list(answer, () => answer.int32()); // Offline.
      skipTags(answer);
      return { ...partition, replicas };
    });
    answer.skip(4); // Rights.
    skipTags(answer);
    return { topicErrorCode, topic, partitionMetadata, ...(id === NO_ID ? {} : { topicId: id }) };
  });
  return { brokers, clusterId, topicMetadata };
}

function list<T>(cursor: Cursor, item: () => T): T[] {
  const items: T[] = [];
  for (let left = cursor.uvarint() - 1; left > 0; left--) items.push(item());
  return items;
}

function text(cursor: Cursor): string | null {
  const length = cursor.uvarint() - 1;
  if (length < 0) return null;
  const at = cursor.skip(length);
  return cursor.bytes.toString('utf8', at, at + length);
}

function skipTags(cursor: Cursor): void {
  for (let left = cursor.uvarint(); left > 0; left--) {
    cursor.uvarint();
    cursor.skip(cursor.uvarint());
  }
}
