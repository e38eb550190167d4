import type { Kafka } from 'kafkajs';
import type { PipelineConfig } from '../../config/config.js';
import type { SchemaRegistry } from '../../formats/schemaRegistry.js';
import type { KafkaAdmin } from '../../kafka/admin.js';

/** So long are records read, if few of them become rows. */
export const SAMPLE_WAIT_MS = 10_000;

/** A table of a pipeline, and the topics whose records go to it. */
export interface TableOfTopics {
  readonly pipeline: PipelineConfig;
  readonly name: string;
  readonly topics: readonly string[];
}

/** What samples are read from. */
export interface SampledParts {
  readonly kafka: Kafka;
  readonly admin: KafkaAdmin;
  /** Null: none is configured. */
  readonly registry: SchemaRegistry | null;
}

/** What a table is proposed from. */
export interface Sample {
  /** Rows of records, one character per byte. */
  readonly rows: readonly string[];
  /** The types of columns that a schema gives, by their names. Absent: there is none. */
  readonly types?: ReadonlyMap<string, string>;
  /** Says which schemas these are. */
  readonly schemas?: string;
  /** Says where two schemas differ, and no column holds the values of both. */
  readonly misfits?: readonly string[];
  /** The columns that the key of a changed row has. Null: it is not known. */
  readonly key: readonly string[] | null;
  /** What to say if there is nothing. Absent: there is no JSON object. */
  readonly nothing?: string;
}
