import { createRequire } from 'node:module';
import type { Socket } from 'node:net';

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
