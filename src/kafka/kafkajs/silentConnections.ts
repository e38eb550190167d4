import kafkajs from 'kafkajs';
import { internalModule, type Connection, type Repairable } from './internals.js';
import { steadyNow } from './steadyClock.js';

/** A request that waits for so long while another one of the same broker has timed out waits in vain, too. */
const SUSPECT_MS = 10_000;

/** Connections that are open, of all clients. */
const open = new Set<Connection>();

/**
 * kafkajs keeps a connection on which nothing is answered any more (a firewall that has forgotten it, a machine that has gone
 * without a word) and asks it again and again, for as long as TCP believes in it: a quarter of an hour, or for ever. From here
 * on a connection is closed once a request on it has timed out; the next request opens a new one. What else goes to the same
 * broker has most likely met the same end, and would cost another time-out each: it is closed, too, where it is idle or has
 * waited for long.
 */
export function closeSilentConnections(): void {
  const { prototype: connection } = internalModule('network/connection') as Repairable<Connection>;
  const { connect, disconnect, send } = connection;
  connection.connect = async function () {
    const connected = await connect.call(this);
    open.add(this);
    return connected;
  };
  connection.disconnect = function () {
    open.delete(this);
    return disconnect.call(this);
  };
  connection.send = async function (request) {
    const { socket } = this;
    try {
      return await send.call(this, request);
    } catch (error) {
      // Not the socket that came after it, if another request was faster.
      if (error instanceof kafkajs.KafkaJSRequestTimeoutError && this.socket === socket) closeAlike(this, error);
      throw error;
    }
  };
}

function closeAlike(silent: Connection, error: Error): void {
  for (const candidate of [...open])
    if (candidate === silent || (candidate.broker === silent.broker && isSuspect(candidate))) close(candidate, error);
}

function isSuspect({ requestQueue: { inflight } }: Connection): boolean {
  const now = steadyNow();
  return [...inflight.values()].every(({ sentAt }) => now - (sentAt ?? now) > SUSPECT_MS);
}

function close(connection: Connection, error: Error): void {
  const closed = new kafkajs.KafkaJSConnectionError(`The connection was closed: ${error.message}`, {
    broker: connection.broker,
  });
  connection.rejectRequests(closed);
  void connection.disconnect();
}
