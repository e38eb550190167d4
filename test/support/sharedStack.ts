import type { TestProject } from 'vitest/node';
import { startStack, type Stack } from '../../stack/index.js';
import { reportSetUp } from './useStack.js';

/** How a stack is reached, for whoever leaves its parts alone. */
export type StackAddresses = Pick<Stack, 'kafka' | 'temporal' | 'clickhouse'>;

declare module 'vitest' {
  export interface ProvidedContext {
    stack: StackAddresses;
  }
}

/** The stack of all tests that share one. Vitest calls it once, before the first of them, and what it returns after the last. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const stack = await startStack({ shortLived: true, onProgress: reportSetUp });
  const { kafka, temporal, clickhouse } = stack;
  project.provide('stack', { kafka, temporal, clickhouse });
  return () => stack.stop();
}
