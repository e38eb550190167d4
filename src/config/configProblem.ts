import type { ParsedConfig } from './schema.js';

/** One problem of a configuration: its place, and what to do. */
export interface ConfigProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** The parts that are checked together: connections, and pipelines by name. */
export type CheckedParts = Pick<ParsedConfig, 'kafka' | 'temporal' | 'clickhouse' | 'schemaRegistry' | 'pipelines'>;
