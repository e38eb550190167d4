import { setTimeout as sleep } from 'node:timers/promises';
import { asError } from '../lib/asError.js';
import { messageOf } from '../lib/messageOf.js';
import type { StateLog } from '../telemetry/logging.js';
import { PartlyKnownError, type UnreadableBatcher } from '../temporal/unreadableBatcher.js';

const ASK_AGAIN_MS = 10_000;

/**
 * Keeps a consumer that has no keys from reading, while what its batchers have is encrypted: what it would send may be
 * refused, and its offsets would be committed.
 *
 *     asking ──unreadable, some answers──► held ──readable──► begun
 *        │                                 │  ▲
 *        │                                 └──┘ unreadable, some answers, no answer
 *        └──readable, no answer──► begun
 *
 * A Temporal that does not answer at the start holds nobody, since what the consumer sends waits for Temporal, too. But it
 * does not end a hold either. One that answers for some batchers is there, and the others may encrypt.
 */
export class MissingKeyHold {
  readonly #pipeline: string;
  readonly #ask: () => Promise<UnreadableBatcher | null>;
  readonly #stateLog: Pick<StateLog, 'problem' | 'well'>;
  #problem: string | null = null;

  /** @param ask which batcher cannot be read. It rejects if that is not known, also if Temporal hangs */
  constructor(
    pipeline: string,
    ask: () => Promise<UnreadableBatcher | null>,
    stateLog: Pick<StateLog, 'problem' | 'well'>,
  ) {
    this.#pipeline = pipeline;
    this.#ask = ask;
    this.#stateLog = stateLog;
  }

  /** What stands in the way of readiness. */
  get problem(): string | null {
    return this.#problem;
  }

  /**
   * Ends when the consumer may begin, or when the process ends. Never rejects.
   *
   * @param askAgainMs while it is held
   */
  async untilReadable(ending: AbortSignal, askAgainMs = ASK_AGAIN_MS): Promise<void> {
    const what = `encryption of ${this.#pipeline}`;
    while (!ending.aborted) {
      const answer = await this.#ask().catch(asError);
      if (answer === null) break;
      if (!(answer instanceof Error))
        this.#problem = `pipeline ${this.#pipeline} is not read, because its batchers encrypt, and would refuse what comes without encryption: ${messageOf(answer.error)}`;
      else if (answer instanceof PartlyKnownError)
        this.#problem ??= `pipeline ${this.#pipeline} is not read, because it is not known whether its batchers encrypt: ${answer.message}`;
      if (this.#problem === null) break;
      this.#stateLog.problem(what, this.#problem);
      await sleep(askAgainMs, undefined, { signal: ending, ref: false }).catch(() => undefined);
    }
    this.#problem = null;
    this.#stateLog.well(what, `The batchers of pipeline ${this.#pipeline} can be read`);
  }
}
