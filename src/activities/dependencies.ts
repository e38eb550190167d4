import type { TableEvolution } from '../clickhouse/evolve/tableEvolution.js';
import type { BatchInsertOptions } from '../clickhouse/insertOptions.js';
import type { Decoders } from '../formats/decoders.js';
import type { Publisher } from '../kafka/publisher.js';
import type { TopicPartitions } from '../kafka/topicPartitions.js';
import type { DeliverConfirmation } from '../protocol/request.js';
import type { Logger, StateLog } from '../telemetry/logging.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { RunHistories } from '../temporal/runHistories.js';
import type { AdmissionLimits } from './admission.js';
import type { Beat } from './attempt.js';
import type { BatchBodies } from './batchBodies.js';

/** What the activities work with: clients and telemetry, as the daemon opens them. */
export interface ActivityDependencies {
  readonly tables: BatchInsertOptions['tables'];
  /** Default: no registry is configured. */
  readonly decoders?: Decoders | undefined;
  /** Default: no table gets a column. */
  readonly evolution?: TableEvolution | undefined;
  readonly histories: RunHistories;
  /** Default: one of its own, which reads every batch that is stored once from the history. */
  readonly batchBodies?: BatchBodies;
  readonly publisher: Publisher;
  readonly partitions: Pick<TopicPartitions, 'count'>;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly stateLog: StateLog;
  readonly beat: Beat;
  readonly deliverConfirmation: DeliverConfirmation;
  /** The most bytes that Temporal takes in one payload. Default: Temporal's own default. */
  readonly payloadBytesMax?: number;
  /** Whether only records that came encrypted are inserted. Default: false. */
  readonly requiresEncryption?: boolean;
  readonly ofOther: OfOther;
  readonly admission: AdmissionLimits;
}

/**
 * Says to which other installation work for a pipeline belongs. Null if it belongs to this one. `unknown` if nobody has
 * claimed the pipeline.
 *
 * @param named the installation that the work names, if it names one
 */
export type OfOther = (
  pipeline: string,
  named: string | undefined,
) => Promise<{ readonly name: string } | 'unknown' | null>;
