import type { Kafka } from 'kafkajs';
import { repairCommits, type RawCommits } from './committedEpochs.js';
import { internalModule } from './internals.js';
import { repairMetadata, type RawMetadata } from './metadata.js';
import { EPOCH_END_VERSION, epochEndRequest, OFFSET_FOR_LEADER_EPOCH, type RawEpochEnd } from './leaderEpochs.js';
import type { ProtocolRequest } from './protocolRequest.js';
import { METADATA, TOPIC_IDS_VERSION, topicIdsRequest } from './topicIds.js';

interface Connection {
  readonly send: <Answer>(request: ProtocolRequest<Answer>) => Promise<unknown>;
}

/** The parts of kafkajs's broker that are used here. */
export interface Broker {
  /** Null until the addresses of the configuration are known to be this broker's. */
  readonly nodeId: number | string | null;
  /** The newest version of a request that both the broker and kafkajs know. */
  readonly lookupRequest: (apiKey: number, definition: unknown) => (asked: object) => ProtocolRequest<unknown>;
  /** By API key, the versions that the broker knows. */
  readonly versions: Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number }>> | null;
  readonly connectionPool: Connection & {
    /** The connection that requests of this API take. Fetches have one of their own. */
    readonly getConnectionByRequest: (of: { request: { apiKey: number } }) => Promise<Connection>;
  };
  readonly offsetFetch: (request: object) => Promise<RawCommits>;
  readonly disconnect: () => Promise<void>;
}

/** kafkajs's view of a cluster: its brokers and the connections to them. It is not in kafkajs's public interface. */
export interface Cluster {
  readonly connect: () => Promise<void>;
  readonly disconnect: () => Promise<void>;
  readonly refreshMetadata: () => Promise<void>;
  readonly getNodeIds: () => string[];
  readonly findBroker: (node: { nodeId: number | string }) => Promise<Broker>;
  readonly findGroupCoordinator: (group: { groupId: string }) => Promise<Broker>;
  readonly brokerPool: { findConnectedBroker: () => Promise<Broker> };
}

/** Creates a cluster with its own connections. */
export function createCluster(kafka: Kafka): Cluster {
  repairMetadata();
  repairCommits();
  const symbol = Object.getOwnPropertySymbols(kafka).find(
    ({ description }) => description === 'private:Kafka:createCluster',
  );
  if (symbol === undefined) throw new Error('kafkajs has no way to create a cluster: it is another version');
  const create = (kafka as unknown as Record<symbol, (options: object) => Cluster>)[symbol];
  return (create as (options: object) => Cluster)({
    metadataMaxAge: METADATA_MAX_AGE_MS,
    allowAutoTopicCreation: false,
  });
}

const METADATA_MAX_AGE_MS = 60_000;

/** A leader's answer to a request for offsets. */
export interface RawOffsets {
  readonly responses: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly errorCode: number; readonly offset: string }[];
  }[];
}

/**
 * Asks a broker for the metadata of topics, with their ids if it knows them. Errors of topics and partitions are part of
 * the answer.
 */
export async function askMetadata(broker: Broker, topics: readonly string[]): Promise<RawMetadata> {
  if (knowsTopicIds(broker)) return (await send(broker, topicIdsRequest(topics))) as RawMetadata;
  return (await asked(broker, 'Metadata', { topics, allowAutoTopicCreation: false })) as RawMetadata;
}

/**
 * Asks a broker for a topic's id, over the connection on which it has just answered a fetch. Nothing is asked of a broker
 * that does not tell ids.
 */
export async function askTopicAfterFetch(
  broker: Broker,
  topic: string,
): Promise<Pick<RawMetadata['topicMetadata'][number], 'topicErrorCode' | 'topicId'>> {
  if (!knowsTopicIds(broker)) return { topicErrorCode: 0 };
  const connection = await broker.connectionPool.getConnectionByRequest({ request: { apiKey: FETCH } });
  const { topicMetadata } = (await connection.send(topicIdsRequest([topic]))) as RawMetadata;
  return topicMetadata.find((answer) => answer.topic === topic) ?? { topicErrorCode: UNKNOWN_TOPIC_CODE };
}

const FETCH = 1;

/** Whether records of open transactions count. */
export const ISOLATION = { uncommitted: 0, committed: 1 } as const;

/** Asks a leader for offsets. Errors of partitions are part of the answer. */
export async function askOffsets(
  broker: Broker,
  topics: readonly { topic: string; partitions: readonly { partition: number; timestamp: number }[] }[],
  isolationLevel: (typeof ISOLATION)[keyof typeof ISOLATION],
): Promise<RawOffsets> {
  return (await asked(broker, 'ListOffsets', { topics, isolationLevel })) as RawOffsets;
}

/**
 * Asks a broker for the names of all topics. kafkajs would make objects for every partition and replica of the cluster.
 * This skips them.
 */
export async function askTopicNames(broker: Broker): Promise<string[]> {
  return (await asked(broker, 'Metadata', { topics: [], allowAutoTopicCreation: false }, decodeTopicNames)) as string[];
}

async function asked(
  broker: Broker,
  api: 'Metadata' | 'ListOffsets',
  options: object,
  decode?: (raw: Buffer, version: number) => unknown,
): Promise<unknown> {
  const { requests } = internalModule('protocol/requests') as { requests: Record<string, unknown> };
  const apiKeys = internalModule('protocol/requests/apiKeys') as Record<string, number>;
  const { request, response } = broker.lookupRequest(apiKeys[api] as number, requests[api])(options);
  const { apiVersion } = request;
  const read = decode === undefined ? response.decode : (raw: Buffer) => Promise.resolve(decode(raw, apiVersion));
  return send(broker, { request, response: { decode: read, parse: (data) => Promise.resolve(data) } });
}

/** Asks a leader where the records of a leader epoch end in a log. Null if the broker does not know such questions. */
export async function askEpochEnd(
  broker: Broker,
  topic: string,
  partition: number,
  leaderEpoch: number,
): Promise<RawEpochEnd | null> {
  if (!knows(broker, OFFSET_FOR_LEADER_EPOCH, EPOCH_END_VERSION)) return null;
  return (await send(broker, epochEndRequest(topic, partition, leaderEpoch))) as RawEpochEnd;
}

function knowsTopicIds(broker: Broker): boolean {
  return knows(broker, METADATA, TOPIC_IDS_VERSION);
}

function knows({ versions }: Broker, apiKey: number, version: number): boolean {
  const known = versions?.[apiKey];
  return known !== undefined && known.minVersion <= version && version <= known.maxVersion;
}

async function send<Answer>(broker: Broker, request: ProtocolRequest<Answer>): Promise<unknown> {
  try {
    return await broker.connectionPool.send(request);
  } catch (error) {
    // Like kafkajs does it. The next request opens a new connection.
    if (error instanceof Error && error.name === 'KafkaJSConnectionClosedError') await broker.disconnect();
    throw error;
  }
}

/**
 * The names of the topics in an answer to a Metadata request (versions 0 to 6). A topic that is being deleted
 * (UNKNOWN_TOPIC_OR_PARTITION) is left out.
 *
 * @see https://kafka.apache.org/protocol.html#The_Messages_Metadata
 */
export function decodeTopicNames(raw: Buffer, version: number): string[] {
  let at = 0;
  const int16 = (): number => raw.readInt16BE((at += 2) - 2);
  const int32 = (): number => raw.readInt32BE((at += 4) - 4);
  const skipText = (): void => {
    const length = int16();
    at += Math.max(0, length);
  };
  const skipNumbers = (): void => {
    const count = int32();
    at += 4 * Math.max(0, count);
  };
  if (version >= 3) at += 4; // Throttle time.
  for (let brokers = int32(); brokers > 0; brokers--) {
    at += 4;
    skipText();
    at += 4;
    if (version >= 1) skipText();
  }
  if (version >= 2) skipText(); // The cluster's id.
  if (version >= 1) at += 4; // The controller.
  const names: string[] = [];
  for (let topics = int32(); topics > 0; topics--) {
    const error = int16();
    const length = int16();
    const name = raw.toString('utf8', at, at + length);
    at += length;
    if (version >= 1) at += 1; // Whether it is internal.
    for (let partitions = int32(); partitions > 0; partitions--) {
      at += 2 + 4 + 4;
      skipNumbers();
      skipNumbers();
      if (version >= 5) skipNumbers();
    }
    if (error !== UNKNOWN_TOPIC_CODE) names.push(name);
  }
  return names;
}

export const UNKNOWN_TOPIC_CODE = 3;
