import { afterAll, beforeAll } from 'vitest';
import { startStack, type Stack, type StackEvent, type StackOptions } from '../../stack/index.js';

/** Long enough for the first start on a machine, which downloads and builds. */
const FIRST_START_MS = 900_000;

/** A stack of their own for the tests of a file, stopped after them. */
export function useStack(options: StackOptions = {}): () => Stack {
  let stack: Stack | undefined;
  beforeAll(async () => {
    stack = await startStack({ onProgress: reportSetUp, ...options });
  }, FIRST_START_MS);
  afterAll(() => stack?.stop());
  return () => {
    if (stack === undefined) throw new Error('the stack has not been started yet');
    return stack;
  };
}

/** Downloads and builds take minutes the first time and are shown; a start of seconds is not. */
function reportSetUp({ part, step, state }: StackEvent): void {
  if (/download|build|install/i.test(step)) process.stderr.write(`[${part}] ${step} ${state}\n`);
}
