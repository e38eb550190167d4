import type { Payload } from '@temporalio/common';
import { BATCHER_FORMAT, type BatcherInput } from '../protocol/batcher.js';
import { RUN_BEFORE } from '../protocol/inheritance.js';
import type { BatcherSettings } from '../protocol/settings.js';
import { readPayload } from '../workflows/payloadConverter.js';

/** The arguments that a batcher's run was started with. */
export interface StartInput {
  readonly input: BatcherInput;
  /** Null if there are none. Only a run that continues another one needs them. */
  readonly bodies: Uint8Array | null;
}

/**
 * Reads the arguments of a batcher's run. Somebody may have started it with anything. Then its workflow tasks fail, but it
 * takes signals all the same, and what it got is not to be lost. So it is read as an heir of the run before it that
 * never found out what that one has left.
 *
 * @param open decrypts a payload
 * @throws MissingKeyError
 */
export function readStart(payloads: readonly Payload[], open: (payload: Payload) => Payload): StartInput {
  const [input, bodies] = payloads.map(open).map(readable);
  return { input: isInput(input) ? input : HEIR, bodies: bodies instanceof Uint8Array ? bodies : null };
}

function readable(payload: Payload): unknown {
  try {
    return readPayload<unknown>(payload);
  } catch {
    return undefined;
  }
}

/** Whether it is an input of ours, of any version. */
function isInput(value: unknown): value is BatcherInput {
  if (!isObject(value)) return false;
  const { format, settings, heirOf } = value as Partial<Record<keyof BatcherInput, unknown>>;
  return (
    typeof format === 'string' &&
    format.startsWith('ktb-batcher/') &&
    isObject(settings) &&
    'batch' in settings &&
    isObject(settings.batch) &&
    (heirOf === undefined || heirOf === null || typeof heirOf === 'string')
  );
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** Nothing is sent with these settings: an heir has its own. They only divide what is left into batches. */
const NO_SETTINGS: BatcherSettings = {
  pipeline: '',
  batch: { maxRecords: 10_000, maxBytes: 10_000_000, maxDelayMs: 0 },
  continueAsNewAt: { historyBytes: 0, historyEvents: 0 },
  destination: {
    table: null,
    columns: {},
    deadLetterTopic: '',
    mapping: { format: 'json', unknownFields: 'ignore', tombstones: 'reject' },
  },
};

const HEIR: BatcherInput = { format: BATCHER_FORMAT, settings: NO_SETTINGS, heirOf: RUN_BEFORE };
