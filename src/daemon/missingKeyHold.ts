import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../lib/messageOf.js';
import { within } from '../lib/within.js';
import type { StateLog } from '../telemetry/logging.js';
import type { UnreadableBatcher } from '../temporal/unreadableBatcher.js';

const ASK_AGAIN_MS = 10_000;
/**
 * A Temporal that hangs does not hold a consumer. What it sends then waits for Temporal, too. It is longer than one answer
 * takes, since all pipelines share the slots in which batchers are looked at.
 */
const ASK_WITHIN_MS = 60_000;

/**
 * Keeps a consumer that has no keys from reading, while what its batchers have is encrypted: what it would send may be
 * refused, and its offsets would be committed.
 *
 *     asking ──unreadable──► held ──readable──► begun
 *        │                   │  ▲
 *        │                   └──┘ unreadable, no answer
 *        └──readable, no answer──► begun
 *
 * A Temporal that does not answer at the start holds nobody, but it does not end a hold either.
 */
export class MissingKeyHold {
  readonly #pipeline: string;
  readonly #ask: () => Promise<UnreadableBatcher | null>;
  readonly #stateLog: Pick<StateLog, 'problem' | 'well'>;
  #problem: string | null = null;

  /** @param ask which batcher cannot be read. It rejects if that is not known */
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
    let unreadable: UnreadableBatcher | null = null;
    while (!ending.aborted) {
      const before: UnreadableBatcher | null = unreadable;
      unreadable = await within(this.#ask(), ASK_WITHIN_MS).catch(() => before);
      if (unreadable === null) break;
      this.#problem = `pipeline ${this.#pipeline} is not read, because its batchers encrypt, and would refuse what comes without encryption: ${messageOf(unreadable.error)}`;
      this.#stateLog.problem(what, this.#problem);
      await sleep(askAgainMs, undefined, { signal: ending, ref: false }).catch(() => undefined);
    }
    this.#problem = null;
    this.#stateLog.well(what, `The batchers of pipeline ${this.#pipeline} can be read`);
  }
}
