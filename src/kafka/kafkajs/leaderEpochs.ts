import { Cursor } from './cursor.js';
import { newEncoding, protocolRequest, type Encoding, type ProtocolRequest } from './protocolRequest.js';

/** The key of the API OffsetForLeaderEpoch. */
export const OFFSET_FOR_LEADER_EPOCH = 23;
/** It asks for no epoch of the asker's own, and is known since Kafka 2.1. Kafka 4 knows no earlier one. */
export const EPOCH_END_VERSION = 2;

/** Up to where a leader's log has what the leaders of an epoch, and of all before, have written. */
export interface RawEpochEnd {
  readonly errorCode: number;
  /** The largest leader epoch in the log that is not above the one that was asked for. -1: the leader knows none so high. */
  readonly leaderEpoch: number;
  /** The offset after the last record of that epoch. -1 with an epoch of -1. */
  readonly endOffset: number;
}

/**
 * Asks where the records of a leader epoch end in a log. If an unclean election has cut the log, they end earlier than they
 * were read, or the log has no record of that epoch.
 *
 * @see https://kafka.apache.org/protocol.html#The_Messages_OffsetForLeaderEpoch, KIP-320, KIP-279, and
 * `LeaderEpochFileCache.endOffsetFor` of Kafka
 */
export function epochEndRequest(topic: string, partition: number, leaderEpoch: number): ProtocolRequest<RawEpochEnd> {
  const api = { apiKey: OFFSET_FOR_LEADER_EPOCH, apiVersion: EPOCH_END_VERSION, apiName: 'OffsetForLeaderEpoch' };
  return protocolRequest(api, () => encode(topic, partition, leaderEpoch), decodeEpochEnd);
}

const NO_EPOCH = -1;

function encode(topic: string, partition: number, leaderEpoch: number): Encoding {
  const one = newEncoding().writeInt32(1).writeString(topic).writeInt32(1);
  return one.writeInt32(partition).writeInt32(NO_EPOCH).writeInt32(leaderEpoch);
}

/** Decodes the answer to {@link epochEndRequest}: it is of one partition. @throws MalformedError */
export function decodeEpochEnd(raw: Buffer): RawEpochEnd {
  const answer = new Cursor(raw);
  answer.skip(4); // Throttle time.
  answer.skip(4); // The number of topics.
  answer.skip(answer.int16());
  answer.skip(4); // The number of partitions.
  const errorCode = answer.int16();
  answer.skip(4); // The partition.
  const leaderEpoch = answer.int32();
  return { errorCode, leaderEpoch, endOffset: Number(answer.int64()) };
}
