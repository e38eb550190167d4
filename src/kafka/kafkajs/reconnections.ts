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
 * - requests that were sent while it was being closed: they are never answered, and never time out.
 *
 * And closing waits for all answers, for as long as the longest request may take. From here on a new socket begins with
 * nothing, and closing takes some seconds at most.
 */
export function beginReconnectionsClean(): void {
  const { prototype: connection } = internalModule('network/connection') as Repairable<Connection>;
  const { connect, disconnect } = connection;
  const connecting = new WeakMap<Connection, Promise<true>>();

  connection.connect = function () {
    const current = connecting.get(this);
    if (current !== undefined) return current;
    if (!this.isConnected()) {
      this.chunks = [];
      this.bytesBuffered = 0;
      this.bytesNeeded = SIZE_BYTES;
    }
    const next = connect.call(this).finally(() => connecting.delete(this));
    connecting.set(this, next);
    return next;
  };

  connection.disconnect = async function () {
    const { socket } = this;
    const closed = new kafkajs.KafkaJSConnectionError('The connection was closed', { broker: this.broker });
    const timer = setTimeout(() => this.rejectRequests(closed), LAST_ANSWERS_MS);
    try {
      return await disconnect.call(this);
    } finally {
      clearTimeout(timer);
      this.authHandlers?.onError();
      this.rejectRequests(closed);
      if (socket !== undefined) abandon(socket);
    }
  };
}

/** Its events concern nobody any more; an error that nobody listens for would end the process. */
function abandon(socket: NonNullable<Connection['socket']>): void {
  for (const event of ['data', 'end', 'timeout', 'error']) socket.removeAllListeners(event);
  socket.on('error', () => undefined);
  socket.destroy();
}
