import { ChunkBuffer } from './chunkBuffer.js';
import { Confirmations } from './confirmations.js';
import { RunProgress } from './continuation.js';
import { Controls } from './controls.js';
import { NO_COUNTERS, type Counters } from './counters.js';
import { Coverage } from './coverage.js';
import { FlushProgress } from './flushProgress.js';
import { ForeignSignals } from './foreignSignals.js';
import { Leftovers } from './leftovers.js';
import { Requests } from './requests.js';
import { lastingRunId, type RunIdentity } from './runIdentity.js';

/** All of a batcher's state. `carriedState.ts` says what of it one run hands to the next. */
export interface BatcherParts {
  readonly buffer: ChunkBuffer;
  readonly counters: Counters;
  readonly controls: Controls;
  readonly flushes: FlushProgress;
  readonly progress: RunProgress;
  // The other parts are made anew from what the run before has handed on. Those above take it over.
  leftovers: Leftovers;
  requests: Requests;
  confirmations: Confirmations;
  coverage: Coverage;
  foreignSignals: ForeignSignals;
  /**
   * The coverage of what came encrypted. Null while nothing else has come: then it is {@link coverage}. See `trust.ts`.
   */
  encryptedCoverage: Coverage | null;
  /**
   * What was accepted and is not believed any more. Records of it that come again may have been inserted by any run: as long
   * as this chain of runs lasts.
   */
  readonly doubtful: Coverage;
}

/** The parts of a batcher that begins with nothing. */
export function newParts(run: RunIdentity): BatcherParts {
  return {
    buffer: new ChunkBuffer([run.runId]),
    counters: { ...NO_COUNTERS },
    controls: new Controls(),
    flushes: new FlushProgress(),
    progress: new RunProgress(run),
    leftovers: new Leftovers(),
    // The epoch of the requests that the run counts, if the run before it has handed no count on.
    requests: new Requests(lastingRunId(run)),
    confirmations: new Confirmations(),
    coverage: new Coverage(),
    foreignSignals: new ForeignSignals(),
    encryptedCoverage: new Coverage(),
    doubtful: new Coverage(),
  };
}
