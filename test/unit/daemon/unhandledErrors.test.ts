import { createRequire } from 'node:module';
import { expect, it, onTestFinished } from 'vitest';
import { takeUnhandledErrors } from '../../../src/daemon/unhandledErrors.js';

/** Vitest's own listeners would fail the test for what it is about. */
function take() {
  const emitter: NodeJS.EventEmitter = process;
  const events = ['unhandledRejection', 'uncaughtException'];
  const own = events.map((event) => [event, emitter.listeners(event)] as const);
  for (const event of events) emitter.removeAllListeners(event);
  const seen: string[] = [];
  const leave = takeUnhandledErrors({
    logger: { error: () => undefined },
    ofKafkajs: () => void seen.push('of kafkajs'),
    fatal: ({ message }) => void seen.push(`fatal: ${message}`),
  });
  onTestFinished(() => {
    leave();
    for (const [event, listeners] of own) for (const listener of listeners) emitter.on(event, listener as () => void);
  });
  return seen;
}

it('a rejection inside kafkajs that nobody handles is counted, and the process goes on', async () => {
  const seen = take();
  const SocketRequest = createRequire(import.meta.url)('kafkajs/src/network/requestQueue/socketRequest.js') as new (
    options: object,
  ) => { completed(answer: object): void };
  // An answer to a request that was never sent.
  void Promise.resolve().then(() => new SocketRequest({ entry: {} }).completed({ size: 0, payload: null }));
  await expect.poll(() => seen).toEqual(['of kafkajs']);
});

it('an error thrown out of a timer inside kafkajs is counted, too', async () => {
  const seen = take();
  const Decoder = createRequire(import.meta.url)('kafkajs/src/protocol/decoder.js') as new (data: Buffer) => {
    readInt32(): number;
  };
  setTimeout(() => new Decoder(Buffer.alloc(0)).readInt32(), 1);
  await expect.poll(() => seen).toEqual(['of kafkajs']);
});

it('any other error that reaches nobody ends the daemon', async () => {
  const seen = take();
  void Promise.reject(new Error('ours'));
  await expect.poll(() => seen).toEqual(['fatal: ours']);
});
