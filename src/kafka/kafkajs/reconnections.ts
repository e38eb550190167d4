import kafkajs from 'kafkajs';
import { internalModule, type Connection, type Repairable } from './internals.js';

/** How long a connection waits for answers before it is closed. */
const LAST_ANSWERS_MS = 5_000;

/** Bytes of the size that comes before each answer. */
const SIZE_BYTES = 4;

/**
 * A connection of kafkajs opens one socket after the other. kafkajs has these faults when it changes the socket:
 *
 * - The first bytes of an answer whose rest was lost are kept. What the new socket brings is read after them, as if it
 *   were the rest.
 * - Events of the old socket close the new one.
 * - Two requests that find the connection closed open two sockets, and one is never closed.
 * - Requests that were sent while it was being closed are never answered and never time out.
 * - The end of closing also closes a socket that was opened meanwhile.
 *
 * And closing waits for all answers, as long as the longest request may take. Repaired, a new socket opens after the
 * old one is closed, and takes over nothing. Closing takes some seconds at most.
 */
export function repairReconnections(): void {
  const { prototype: connection } = internalModule('network/connection') as Repairable<Connection>;
  const { connect, disconnect } = connection;
  const connecting = new WeakMap<Connection, Promise<true>>();
  const closing = new WeakMap<Connection, Promise<true>>();

  const open = async (opened: Connection): Promise<true> => {
    await closing.get(opened);
    if (!opened.isConnected()) {
      opened.chunks = [];
      opened.bytesBuffered = 0;
      opened.bytesNeeded = SIZE_BYTES;
    }
    return connect.call(opened);
  };

  const close = async (closed: Connection): Promise<true> => {
    const { socket } = closed;
    const error = new kafkajs.KafkaJSConnectionError('The connection was closed', { broker: closed.broker });
    const timer = setTimeout(() => closed.rejectRequests(error), LAST_ANSWERS_MS);
    try {
      return await disconnect.call(closed);
    } finally {
      clearTimeout(timer);
      closed.authHandlers?.onError();
      closed.rejectRequests(error);
      if (socket !== undefined) abandon(socket);
    }
  };

  connection.connect = function () {
    return shared(connecting, this, open);
  };
  connection.disconnect = function () {
    return shared(closing, this, close);
  };
}

/** Returns the running action of a connection, or begins one. */
function shared(
  running: WeakMap<Connection, Promise<true>>,
  connection: Connection,
  begin: (connection: Connection) => Promise<true>,
): Promise<true> {
  const current = running.get(connection);
  if (current !== undefined) return current;
  const next = begin(connection).finally(() => running.delete(connection));
  running.set(connection, next);
  return next;
}

/** Drops a socket. Its events do not matter any more, but an error without a listener would end the process. */
function abandon(socket: NonNullable<Connection['socket']>): void {
  for (const event of ['data', 'end', 'timeout', 'error']) socket.removeAllListeners(event);
  socket.on('error', () => undefined);
  socket.destroy();
}
