import type { MissingKeyError } from '../codecs/payloadCipher.js';
import type { StateLog } from '../telemetry/logging.js';
import type { Metrics } from '../telemetry/metrics.js';

/** Keys that have a name in the metric. Anybody who may signal can name any number. */
const NAMED_MAX = 20;
const OTHERS = '(others)';

/** Makes a function that counts payloads which cannot be decrypted here, and logs which key is missing. */
export function reportMissingKeys(
  { missingKeys }: Pick<Metrics, 'missingKeys'>,
  stateLog: Pick<StateLog, 'problem'>,
): (error: MissingKeyError) => void {
  const named = new Set<string>();
  return ({ key, message }) => {
    if (named.size < NAMED_MAX) named.add(key);
    const label = named.has(key) ? key : OTHERS;
    missingKeys.inc({ key: label });
    stateLog.problem(`encryption key ${label}`, `What needs it waits: ${message}`);
  };
}
