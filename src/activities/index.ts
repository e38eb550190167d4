import { setImmediate } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import type { Publisher } from '../kafka/publisher.js';
import { publishDeadLetters } from '../kafka/deadLetters.js';
import type { AckStatus } from '../records/ack.js';
import { decodeChunk } from '../records/chunkCodec.js';
import type { BufferedChunk } from '../records/chunk.js';
import type { InheritedOutcome } from '../records/estate.js';
import { BATCH_FORMAT, sealEnvelope, type BatchSpec, type FlushActivities } from '../records/flush.js';
import type { RecordSource } from '../records/record.js';
import { decodeRejected, encodeRejected } from '../records/rejectionCodec.js';
import type { Destination } from '../records/settings.js';
import type { Logger, StateLog } from '../telemetry/logging.js';
import type { Metrics } from '../telemetry/metrics.js';
import { ackMessages, type Answered } from './acks.js';
import { Attempt, type Beat } from './attempt.js';
import {
  insertRecords,
  type BatchInsertOptions,
  type BatchInsertResult,
  type Fill,
  type SourcedRecord,
} from './batchInsert.js';
import { InsertError } from './insertErrors.js';
import { batchId } from '../workflows/batcherState.js';
import type { RunHistories } from './runHistories.js';

export interface ActivityDependencies {
  readonly tables: BatchInsertOptions['tables'];
  readonly histories: RunHistories;
  readonly publisher: Publisher;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly stateLog: StateLog;
  readonly beat: Beat;
}

/** A structural error lasts until a person acts: repeating at this pace is soon enough. */
const STRUCTURAL_RETRY = '15 seconds';

/** After this long an error that should pass by itself may be a row's fault. */
const OVERDUE_AFTER_MS = 15 * 60 * 1000;
/** And after so many attempts: workers may have been away for most of that time. */
const OVERDUE_ATTEMPTS_MIN = 10;

/**
 * The activities of the batchers, around the clients they work with. Every failure is thrown as one that Temporal
 * repeats: a batch that has been accepted is never given up.
 */
export function createActivities(dependencies: ActivityDependencies): FlushActivities {
  const { tables, histories, publisher, metrics, stateLog, beat } = dependencies;

  async function publishAcks(
    { pipeline, id }: Pick<BatchSpec, 'pipeline' | 'id'>,
    { reply }: Destination,
    status: AckStatus,
    answered: readonly Answered[],
  ): Promise<void> {
    const nowMs = Date.now();
    for (const { record } of answered) {
      if (record.timestampMs >= 0)
        metrics.endToEndSeconds.observe({ pipeline }, Math.max(0, nowMs - record.timestampMs) / 1000);
    }
    if (reply === undefined || answered.length === 0) return;
    await publisher.publish(reply.topic, ackMessages(answered, reply.copyHeaders, status, id));
    metrics.acks.inc({ pipeline, status }, answered.length);
  }

  async function insert(batch: Batch, attempt: Attempt): Promise<BatchInsertResult> {
    const { pipeline, destination, records, repeated, fill } = batch;
    const what = `inserts of ${pipeline}`;
    try {
      const result = await insertRecords(records, {
        tables,
        table: destination.table,
        columns: destination.columns,
        batch: batch.id,
        repeated,
        ...(fill === undefined ? {} : { fill }),
        overdue: attempt.number >= OVERDUE_ATTEMPTS_MIN && attempt.ageMs >= OVERDUE_AFTER_MS,
        mustBeAlive: () => {
          attempt.mustBeAlive();
        },
        onInsert: (outcome) => {
          metrics.inserts.inc({ pipeline, outcome });
        },
      });
      stateLog.well(what, `Pipeline ${pipeline} inserts into ${destination.table} again`);
      return result;
    } catch (error) {
      if (!(error instanceof InsertError)) throw error;
      metrics.flushErrors.inc({ pipeline, code: error.code });
      stateLog.problem(
        what,
        `Pipeline ${pipeline} cannot insert into ${destination.table}, and holds its batches: ${error.message}`,
      );
      const structural = error.kind === 'structural';
      throw ApplicationFailure.create({
        message: error.message,
        type: structural ? 'StructuralInsertError' : 'TransientInsertError',
        ...(structural ? { nextRetryDelay: STRUCTURAL_RETRY } : {}),
      });
    }
  }

  async function insertAndAcknowledge(batch: Batch, attempt: Attempt): Promise<Uint8Array> {
    const startedAt = performance.now();
    const { pipeline, id, destination, reason } = batch;
    const { inserted, rejected, found } = await insert(batch, attempt);
    metrics.foundRows.inc({ pipeline }, found);
    attempt.mustBeAlive();
    await publishAcks(batch, destination, 'inserted', inserted);
    metrics.rows.inc({ pipeline }, inserted.length);
    metrics.flushes.inc({ pipeline, reason });
    metrics.flushSeconds.observe({ pipeline }, (performance.now() - startedAt) / 1000);
    const outcome: InheritedOutcome = { id, inserted: inserted.length, rejected: rejected.length, skipped: 0 };
    return sealEnvelope(outcome, rejected.length === 0 ? new Uint8Array(0) : encodeRejected(rejected));
  }

  return {
    insertBatch: (spec, bodies) =>
      Attempt.run(beat, async (attempt) => {
        const format: string = spec.format;
        if (format !== BATCH_FORMAT) throw new Error(`a batch of format ${format}; this worker knows ${BATCH_FORMAT}`);
        const repeated =
          attempt.number > 1 || (await histories.anyWasReset(spec.batcher, [...spec.runs, attempt.runId]));
        const records = await decodeChunks(spec.chunks, bodies);
        const fill = toFill(spec.chunks, records, `${attempt.runId}/${spec.number}`);
        return insertAndAcknowledge({ ...spec, records, repeated, fill }, attempt);
      }),

    readInheritance: (batcher, runId) => Attempt.run(beat, () => histories.inheritance(batcher, runId)),

    insertInherited: (inherited) =>
      Attempt.run(beat, async (attempt) => {
        const { batcher, runId, chunksDone, chunks, answer } = inherited;
        if (answer !== null) return histories.result(batcher, answer);
        const leftover = await histories.leftover(batcher, runId, chunksDone, chunks);
        const inheritedChunks = leftover.map(({ chunk }) => chunk);
        const records = await decodeChunks(inheritedChunks, Buffer.concat(leftover.map(({ body }) => body)));
        const id = batchId(batcher, leftover);
        const fill = toFill(inheritedChunks, records, `${runId}/left/${chunksDone}`);
        return insertAndAcknowledge({ ...inherited, id, reason: 'inherited', records, repeated: true, fill }, attempt);
      }),

    rejectRecords: (spec, rejectedRecords) =>
      Attempt.run(beat, async (attempt) => {
        const { pipeline, destination } = spec;
        const rejected = decodeRejected(rejectedRecords);
        // A stub's original went to the dead-letter topic before the stub was sent.
        const letters = rejected.filter(({ record }) => record.tooLargeBytes === undefined);
        attempt.mustBeAlive();
        await publishDeadLetters(publisher, destination.deadLetterTopic, pipeline, letters);
        for (const { rejection } of letters) metrics.deadLetters.inc({ pipeline, code: rejection.code });
        attempt.mustBeAlive();
        await publishAcks(spec, destination, 'rejected', rejected);
      }),
  };
}

/** A batch on its way, wherever its records come from. */
interface Batch extends Pick<BatchSpec, 'pipeline' | 'id' | 'destination' | 'reason'> {
  readonly records: readonly SourcedRecord[];
  /** True where an insert of these records may have happened before. */
  readonly repeated: boolean;
  readonly fill: Fill | undefined;
}

/** Names the sources that chunks fill. */
function filledSources(chunks: readonly BufferedChunk[]): Set<string> {
  return new Set(chunks.flatMap(({ segments }) => segments.filter(({ fill }) => fill).map(sourceName)));
}

function toFill(chunks: readonly BufferedChunk[], records: readonly SourcedRecord[], salt: string): Fill | undefined {
  const names = filledSources(chunks);
  if (names.size === 0) return undefined;
  const all = new Set(records.map(({ source }) => source));
  return { sources: new Set([...all].filter((source) => names.has(sourceName(source)))), salt };
}

function sourceName({ topic, partition, epoch }: RecordSource): string {
  return `${topic}/${partition}/${epoch}`;
}

async function decodeChunks(chunks: readonly BufferedChunk[], bodies: Uint8Array): Promise<SourcedRecord[]> {
  const records: SourcedRecord[] = [];
  const sources = new Map<string, RecordSource>();
  let at = 0;
  for (const { segments, keep, bodyBytes } of chunks) {
    for (const segment of decodeChunk(segments, bodies.subarray(at, at + bodyBytes), keep)) {
      // One object a source over all chunks: the steps behind group by it.
      const { topic, partition, epoch } = segment;
      const name = sourceName(segment);
      const source = sources.get(name) ?? { topic, partition, epoch };
      sources.set(name, source);
      for (const record of segment.records) records.push({ source, record });
    }
    at += bodyBytes;
    // A large batch must not keep heartbeats and other batches waiting.
    await setImmediate();
  }
  return records;
}
