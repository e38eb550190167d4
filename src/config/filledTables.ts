import { tablesOf } from '../protocol/tables.js';
import type { PipelineConfig } from './config.js';

/** A table that a pipeline fills. */
export interface FilledTable {
  readonly pipeline: PipelineConfig;
  readonly table: string;
}

/**
 * The tables that a pipeline fills from topics.
 *
 * @param topics all that it reads. They may be left out if all records go to one table
 */
export function filledTables(pipeline: PipelineConfig, topics: readonly string[]): FilledTable[] {
  return Array.from(tablesOf(pipeline.settings.destination, topics).keys(), (table) => ({ pipeline, table }));
}
