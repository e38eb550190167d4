import kafkajs from 'kafkajs';
import { internalModule, type Connection, type Repairable } from './internals.js';
import { steadyNow } from './steadyClock.js';

/**
 * A request that has waited this long, while another one to the same broker has timed out, will get no answer either.
 */
const SUSPECT_MS = 10_000;

/** The open connections of all clients. */
const open = new Set<Connection>();

/**
 * kafkajs keeps a connection on which nothing is answered any more, for example because a firewall has forgotten it or
 * a machine has disappeared. It sends further requests on it as long as TCP keeps it: a quarter of an hour, or for
 * ever. Repaired, a connection is closed when a request on it has timed out, and the next request opens a new one.
 * Other connections to the same broker are most likely broken, too, and would each cost another time-out. They are
 * closed if they are idle or have waited for long.
 */
export function repairSilentConnections(): void {
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
      // If another request was faster, there is a new socket already. It must not be closed.
      if (error instanceof kafkajs.KafkaJSRequestTimeoutError && this.socket === socket)
        closeConnectionsTo(this, error);
      throw error;
    }
  };
}

function closeConnectionsTo(silent: Connection, error: Error): void {
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
