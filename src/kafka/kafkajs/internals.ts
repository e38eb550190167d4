import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type { TopicPartition } from '../../protocol/record.js';
import type { Broker } from './cluster.js';
import type { KafkajsBatch } from './fetchedBatch.js';
import type { OUT_OF_RANGE, OutOfRangeHandler } from './outOfRange.js';
import type { FetchState, PARTITION_ERROR, PartitionErrorHandler } from './partitionErrors.js';
import type { STALE_TOPIC, StaleTopic } from './staleTopics.js';

const requireModule = createRequire(import.meta.url);

/**
 * Loads a module of kafkajs that is not in its public interface. `repairs.ts` makes sure that it is of the known
 * version.
 *
 * @param path below `kafkajs/src`, without an ending
 */
export function internalModule(path: string): unknown {
  return requireModule(`kafkajs/src/${path}`);
}

/** A class of kafkajs whose methods are replaced. */
export interface Repairable<Instance> {
  readonly prototype: Instance;
}

/** `network/requestQueue/socketRequest`: a request on its way. */
export interface SocketRequest {
  /** In milliseconds. Null before it is sent. */
  sentAt: number | null;
  readonly requestTimeout: number;
  send: (this: SocketRequest) => void;
  timeoutRequest: (this: SocketRequest) => void;
}

/** `network/requestQueue`: the requests of one connection. */
export interface RequestQueue {
  readonly enforceRequestTimeout: boolean;
  readonly requestTimeout: number;
  readonly maxInFlightRequests: number | null;
  readonly inflight: ReadonlyMap<number, SocketRequest>;
  readonly pending: readonly SocketRequest[];
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  requestTimeoutIntervalId: NodeJS.Timeout | undefined;
  isConnected: (this: RequestQueue) => boolean;
  destroy: (this: RequestQueue) => void;
  scheduleRequestTimeoutCheck: (this: RequestQueue) => void;
  maybeThrottle: (this: RequestQueue, throttleMs: number | null | undefined) => void;
  canSendSocketRequestImmediately: (this: RequestQueue) => boolean;
  checkPendingRequests: (this: RequestQueue) => void;
  scheduleCheckPendingRequests: (this: RequestQueue) => void;
}

/** `network/connection`: a connection to a broker, which opens one socket after the other. */
export interface Connection {
  /** `host:port` */
  readonly broker: string;
  readonly requestQueue: RequestQueue;
  readonly socket: Socket | undefined;
  authHandlers: { onError(): void } | null;
  chunks: Buffer[];
  bytesBuffered: number;
  bytesNeeded: number;
  isConnected: (this: Connection) => boolean;
  connect: (this: Connection) => Promise<true>;
  disconnect: (this: Connection) => Promise<true>;
  send: (this: Connection, request: object) => Promise<unknown>;
  sendAuthRequest: (this: Connection, request: object) => Promise<unknown>;
  rejectRequests: (this: Connection, error: Error) => void;
}

/** `consumer/consumerGroup`: a member of a group, and what it reads. */
export interface ConsumerGroup {
  readonly cluster: GroupCluster;
  readonly assigners: readonly AssignerHandlers[];
  readonly topicsSubscribed: readonly string[];
  /** Sent with each fetch. A leader answers it with the replica that it prefers for this rack, and without records. */
  rackId: string;
  /** Which replica is asked instead of the leader, by topic and partition. */
  preferredReadReplicasPerTopicPartition: Record<string, Record<number, { readonly nodeId: number }>>;
  /** When the broker was last asked for anything. By the wall clock. */
  lastRequest: number;
  assigned: (this: ConsumerGroup) => readonly { readonly topic: string; readonly partitions: readonly number[] }[];
  joinAndSync: (this: ConsumerGroup) => Promise<void>;
  heartbeat: (this: ConsumerGroup, options: { interval: number }) => Promise<void>;
  checkForStaleAssignment: (this: ConsumerGroup) => void;
  getActiveTopicPartitions: (this: ConsumerGroup) => Record<string, Set<number>>;
  /** Fetches from one broker. kafkajs calls it again once everything of the answer is handled. */
  fetch: (this: ConsumerGroup, nodeId: string) => Promise<KafkajsBatch[]>;
  recoverFromFetch: (this: ConsumerGroup, error: unknown) => Promise<void>;
  recoverFromOffsetOutOfRange: (this: ConsumerGroup, error: TopicPartition) => Promise<void>;

  // Ours, not kafkajs's:
  /** Set while only leaders are asked: the rack that was asked for before, and until when, by `performance.now()`. */
  leadersOnly?: { readonly rackId: string; readonly untilMs: number };
  fetchState?: FetchState;
  /** By broker, how long the next answer is waited for. A broker that has answered the last question is not in it. */
  topicAnswerWaits?: Map<string, number>;
}

/** `cluster`, as the group uses it. */
interface GroupCluster {
  refreshMetadata(): Promise<void>;
  getNodeIds(): readonly string[];
  findBroker(node: { nodeId: number | string }): Promise<Broker>;
  findTopicPartitionMetadata(
    topic: string,
  ): readonly { readonly partitionId: number; readonly leader: number | null }[];
}

/** What the repairs of a group call. Our assigners have it, those of other consumers do not. */
interface AssignerHandlers {
  readonly [OUT_OF_RANGE]?: OutOfRangeHandler;
  readonly [PARTITION_ERROR]?: PartitionErrorHandler;
  readonly [STALE_TOPIC]?: () => StaleTopic | null;
}
