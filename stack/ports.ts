import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { StackError } from './stack.js';

/** Every part listens here only. */
export const HOST = '127.0.0.1';

const LOWEST_PORT = 12_000;
const HIGHEST_PORT = 32_000;
const TRIES_MAX = 200;

/** Ports given out by this process, so that two stacks that start at once in it do not get the same one. */
const given = new Set<number>();

/**
 * Picks ports that nothing listens on, below the range from which the system takes the local ports of outgoing
 * connections. A part that is stopped or killed must find its port free again, and in that range it might not: a client
 * that keeps trying to reconnect to a closed port there can be given that very port as its own, and so connect to itself.
 *
 * Another process may take a port between this call and its use: a caller starts again with others when a part reports
 * that its address is in use. {@link releasePorts} gives them back.
 */
export async function pickPorts(count: number): Promise<number[]> {
  const highest = Math.min(HIGHEST_PORT, lowestEphemeralPort() - 1);
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries += 1) {
    if (tries >= TRIES_MAX) {
      releasePorts(ports);
      throw new StackError('START', `No ${count} free TCP ports were found between ${LOWEST_PORT} and ${highest}.`);
    }
    const port = randomInt(LOWEST_PORT, highest + 1);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) ports.push(port);
    else given.delete(port);
  }
  return ports;
}

/** Lets {@link pickPorts} give these out again. */
export function releasePorts(ports: readonly number[]): void {
  for (const port of ports) given.delete(port);
}

/** Whether a part failed because somebody else had taken its port, by the words of the JVM, of Go and of Node. */
export function saysAddressInUse(log: string): boolean {
  return /address already in use|EADDRINUSE|can't set port|java\.net\.BindException/i.test(log);
}

function lowestEphemeralPort(): number {
  try {
    const low = Number(readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/)[0]);
    return low > LOWEST_PORT + 1000 ? low : HIGHEST_PORT + 1;
  } catch {
    return HIGHEST_PORT + 1; // Not Linux: macOS and the BSDs begin at 49152.
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: HOST, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
