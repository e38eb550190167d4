import kafkajs from 'kafkajs';
import { internalModule, type Connection, type Repairable } from './internals.js';

/** How long a connection that is to be closed waits for answers. */
const LAST_ANSWERS_MS = 5_000;

/** The size of an answer, which comes before it. */
const SIZE_BYTES = 4;

/**
 * A connection of kafkajs opens one socket after the other, and takes things along from one to the next:
 *
 * - the first bytes of an answer whose rest was lost: what the new socket brings is read behind them, as if it were the rest;
 * - events of the old socket, which close the new one;
 * - a second socket, where two requests find the connection closed: one of the two is never closed;
 * - requests that were sent while it was being closed: they are never answered, and never time out;
 * - the end of closing it, which closes the socket that was opened meanwhile.
 *
 * And closing waits for all answers, for as long as the longest request may take. From here on a new socket begins with
 * nothing, once the old one is closed, and closing takes some seconds at most.
 */
export function beginReconnectionsClean(): void {
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

/** What is under way already, or else begins. */
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

/** Its events concern nobody any more; an error that nobody listens for would end the process. */
function abandon(socket: NonNullable<Connection['socket']>): void {
  for (const event of ['data', 'end', 'timeout', 'error']) socket.removeAllListeners(event);
  socket.on('error', () => undefined);
  socket.destroy();
}
