import { expect, it } from 'vitest';
import { InterruptedError, Interruption } from '../../../../src/commands/dlq/interruption.js';

it.each(['SIGINT', 'SIGTERM'] as const)('%s is noted until it is closed, once', (signal) => {
  const listeners = () => process.listenerCount('SIGTERM') + process.listenerCount('SIGINT');
  const before = listeners();
  const interruption = new Interruption();
  expect(() => interruption.check()).not.toThrow();
  process.emit(signal, signal);
  // Another one ends the process.
  expect(listeners()).toBe(before + 1);
  expect(() => interruption.check()).toThrow(InterruptedError);
  interruption.close();
  expect(listeners()).toBe(before);
});
