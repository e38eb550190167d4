import { setTimeout as sleep } from 'node:timers/promises';
import type { StateLog } from '../telemetry/logging.js';

/** Longer than it takes to replace files one after the other. */
const BETWEEN_LOOKS_MS = 30_000;

/**
 * Logs what files of secrets have and cannot be used, until the signal is aborted. A person has to know it before the old
 * secrets end. It counts if two looks find the same.
 *
 * @param problems what is wrong now
 */
export async function watchSecrets(
  problems: () => readonly string[],
  stateLog: Pick<StateLog, 'problem' | 'well'>,
  signal: AbortSignal,
  betweenLooksMs = BETWEEN_LOOKS_MS,
): Promise<void> {
  let before: readonly string[] = [];
  while (!signal.aborted) {
    await sleep(betweenLooksMs, undefined, { signal, ref: false }).catch(() => undefined);
    const now = problems();
    const lasting = now.filter((problem) => before.includes(problem));
    if (lasting.length > 0) stateLog.problem('secrets', `${lasting.join('; ')}. The last ones are used`);
    else if (now.length === 0) stateLog.well('secrets', 'All files of secrets can be used again');
    before = now;
  }
}
