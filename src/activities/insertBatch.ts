import { sourcesOf } from '../protocol/columnSource.js';
import { BATCH_FORMATS, type BatchSpec } from '../protocol/flush.js';
import { hasManyRows } from '../protocol/settings.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import type { Attempts } from './attempts.js';
import { toFill } from './batch.js';
import type { BatchBodies } from './batchBodies.js';
import type { ActivityDependencies } from './dependencies.js';
import type { Flusher } from './flusher.js';
import type { Unpacker } from './unpack.js';

const KNOWN_FORMATS: ReadonlySet<string> = new Set(Object.values(BATCH_FORMATS));

/** The activity that flushes a batch of a batcher's buffer. */
export function insertBatch({
  attempts,
  flusher,
  unpacker,
  histories,
  batchBodies,
}: Pick<ActivityDependencies, 'histories'> & {
  readonly batchBodies: Pick<BatchBodies, 'has' | 'of' | 'forget'>;
  readonly attempts: Attempts;
  readonly flusher: Flusher;
  readonly unpacker: Unpacker;
}): FlushActivities['insertBatch'] {
  return (spec, bodies) =>
    attempts.admit(
      'insertBatch',
      spec,
      async (attempt) => {
        if (!KNOWN_FORMATS.has(spec.format))
          throw new Error(`a batch of format ${spec.format}; this worker knows ${[...KNOWN_FORMATS].join(', ')}`);
        unpacker.mustBeSealed(spec);
        const stored = isStoredOnce(spec) ? await batchBodies.of(spec, attempt.runId) : bodies;
        const onlyThisActivity = !(await histories.anyWasReset(spec.batcher, [...spec.runs, attempt.runId]));
        const repeated = attempt.isRepeated || !onlyThisActivity;
        const { packed, records } = await unpacker.unpack(spec, { chunks: spec.chunks, bodies: stored }, attempt);
        const fill = toFill(packed.chunks, records, `${attempt.runId}/${spec.number}`);
        const outcome = await flusher.flush({ ...spec, packed, records, repeated, onlyThisActivity, fill }, attempt);
        batchBodies.forget(spec);
        return outcome;
      },
      () => (isStoredOnce(spec) && !batchBodies.has(spec) ? ALL_OF_A_HISTORY : flushMemoryBytes(spec)),
    );
}

function isStoredOnce({ format }: BatchSpec): boolean {
  return format === BATCH_FORMATS.storedOnce;
}

/** It is not known how much a history has. */
const ALL_OF_A_HISTORY = Infinity;

/** Of a record's object, row and acknowledgement, generously. */
const RECORD_MEMORY_BYTES = 1_024;

/** Avro and Protobuf have no names of fields, and JSON has them in each record. */
const DECODED_GROWTH = 8;

/**
 * Each row of a record with many has the identity columns. So `{"v":1}` becomes 131 bytes, and there is a number for each.
 * Of a batch, two pieces are in memory at most (`PIECE_BYTES`), which is more than a slot counts.
 */
const MANY_ROWS_GROWTH = 24;

/** A text in quotes: each quote in it gets a backslash. */
const TEXT_GROWTH = 2;

/** Bytes in quotes: a zero byte becomes six characters. */
const BYTES_GROWTH = 6;

/** About how much memory the flush of a batch takes. */
export function flushMemoryBytes({ chunks, destination }: Pick<BatchSpec, 'chunks' | 'destination'>): number {
  const growth = growthOf(destination);
  return chunks.reduce((sum, { records, bytes }) => sum + bytes * growth + records * RECORD_MEMORY_BYTES, 0);
}

/** How many times as large as a record its row may be: the record itself, and each copy of a part of it. */
function growthOf({ mapping: { format, unknownFields }, columns }: BatchSpec['destination']): number {
  const decoded = format === 'avro' || format === 'protobuf' ? DECODED_GROWTH : 1;
  const ofValue = format === 'bytes' ? BYTES_GROWTH : TEXT_GROWTH * decoded;
  // Headers that are taken one by one are not larger than all of them together.
  let [copies, ofHeaders] = [0, 0];
  for (const source of Object.values(columns)) {
    const from = sourcesOf(source);
    if (from.some((one) => one === 'value' || one === 'document')) copies += ofValue;
    else if (from.some((one) => one === 'headers' || one === 'key')) copies += TEXT_GROWTH;
    else if (from.some((one) => one.startsWith('header:'))) ofHeaders = TEXT_GROWTH;
  }
  // A part of the value is taken out of it, and may be put in quotes.
  if (typeof unknownFields === 'object') copies += ofValue;
  return (hasManyRows(format) ? MANY_ROWS_GROWTH : decoded) + copies + ofHeaders;
}
