import type { Server } from 'node:http';
import { messageOf } from './messageOf.js';

/**
 * Lets a server listen.
 *
 * @param host empty for all addresses of the machine
 * @param setting name of the setting that chooses the address, for messages: `http.listen`
 * @throws Error that says what to do if it cannot listen there
 */
export function listen(server: Server, { host, port }: { host: string; port: number }, setting: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(listenError(error, setting, addressOf(host, port)));
    server.once('error', failed);
    server.listen(port, host === '' ? undefined : host, () => {
      server.off('error', failed);
      resolve();
    });
  });
}

/** Explains why an address cannot be listened on, from the operating system's error. */
export function listenError(error: unknown, setting: string, address: string): Error {
  const message = messageOf(error);
  const advice = ADVICE.find(([words]) => words.test(message))?.[1] ?? `it cannot be listened on (${message})`;
  return new Error(`${setting} is ${address}: ${advice}`);
}

/** Advice by the error messages of Node and of Temporal's SDK. */
const ADVICE: readonly (readonly [words: RegExp, advice: string])[] = [
  [/EADDRINUSE|address already in use/i, 'another process listens there. End that one, or choose another port'],
  [
    /EADDRNOTAVAIL|ENOTFOUND|EAI_AGAIN|cannot assign requested address/i,
    'this machine has no such address. Choose one that it has, or leave the address out for all of them',
  ],
  [/EACCES|permission denied/i, 'this user may not listen there. Choose a port from 1024 on'],
];

function addressOf(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
