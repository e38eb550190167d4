import type { InjectedSinks } from '@temporalio/worker';
import type { BatcherSinks } from '../../src/workflows/sinks.js';

/** For a worker whose batchers tell nobody anything. */
export const NO_SINKS: InjectedSinks<BatcherSinks> = {
  batcher: {
    began: { fn: () => undefined },
    reported: { fn: () => undefined },
    refusedResult: { fn: () => undefined },
    forgot: { fn: () => undefined },
    holding: { fn: () => undefined },
    taken: { fn: () => undefined },
  },
};
