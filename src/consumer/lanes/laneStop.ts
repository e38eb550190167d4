/** Why a lane sends nothing although it has records. */
export const STOP_CAUSES = ['history', 'closed', 'temporal', 'deadLetters'] as const;
export type StopCause = (typeof STOP_CAUSES)[number];

/**
 * A batcher with a backlog fills its history and continues as new several times a minute, and its lane waits each time.
 * This is a problem only if it takes longer than this.
 */
const REPORT_HISTORY_AFTER_MS = 30_000;

/**
 * The stops of a lane, and when one has to be reported. Pure.
 *
 *     going ──note──► stopped ──note of the same cause, long enough──► told
 *       └◄────────────── resume ──────────────┴──────────────────────────┘
 */
export class LaneStop {
  #cause: StopCause | null = null;
  #sinceMs = 0;
  #told = false;

  get cause(): StopCause | null {
    return this.#cause;
  }

  /**
   * Notes that the lane is stopped.
   *
   * @returns whether to report it now. True once for each cause of a stop
   */
  note(cause: StopCause, nowMs: number): boolean {
    if (this.#cause !== cause) {
      this.#cause = cause;
      this.#sinceMs = nowMs;
      this.#told = false;
    }
    if (this.#told || (cause === 'history' && nowMs - this.#sinceMs < REPORT_HISTORY_AFTER_MS)) return false;
    this.#told = true;
    return true;
  }

  resume(): void {
    this.#cause = null;
  }
}
