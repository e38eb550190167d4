import type { Progress } from '../progress.js';
import type { Watchdog } from '../processes.js';
import { pickPorts, releasePorts } from '../ports.js';
import { StackError } from '../stack.js';

const PORT_TRIES_MAX = 4;

/** What every native part needs to be set up and started. */
export interface NativeContext {
  /** The stack's own temporary directory. */
  readonly dataDir: string;
  readonly progress: Progress;
  readonly watchdog: Watchdog;
  /** Aborted when the start is given up or another part has failed. */
  readonly signal: AbortSignal;
}

/**
 * Starts something on ports that were free a moment ago, and again on others if somebody else was quicker.
 *
 * @throws StackError whatever `start` throws; ADDRESS_IN_USE only after several tries.
 */
export async function onFreePorts<T>(count: number, start: (ports: readonly number[]) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    const ports = await pickPorts(count);
    try {
      return await start(ports);
    } catch (error) {
      releasePorts(ports);
      const retry = error instanceof StackError && error.code === 'ADDRESS_IN_USE' && tries < PORT_TRIES_MAX;
      if (!retry) throw error;
    }
  }
}
