import { afterAll, beforeAll, inject } from 'vitest';
import { startStack, type Stack, type StackEvent, type StackOptions } from '../../stack/index.js';
import type { StackAddresses } from './sharedStack.js';

/** Long enough for the first start on a machine, which downloads and builds. */
export const FIRST_START_MS = 900_000;

/**
 * The stack that files share: for tests that leave its parts alone, and name what they make after themselves. Only in the
 * project `stack`.
 */
export function useSharedStack(): () => StackAddresses {
  return () => inject('stack');
}

/** A stack of their own for the tests of a file, stopped after them. */
export function useStack(options: StackOptions = {}): () => Stack {
  let stack: Stack | undefined;
  beforeAll(async () => {
    stack = await startStack({ shortLived: true, onProgress: reportSetUp, ...options });
  }, FIRST_START_MS);
  afterAll(() => stack?.stop());
  return () => {
    if (stack === undefined) throw new Error('the stack has not been started yet');
    return stack;
  };
}

/** Downloads and builds take minutes the first time and are shown; a start of seconds is not. */
export function reportSetUp({ part, step, state }: StackEvent): void {
  if (/download|build|install/i.test(step)) process.stderr.write(`[${part}] ${step} ${state}\n`);
}
