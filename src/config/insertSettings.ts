/** Settings of every insert, on which the guarantees rest. */
export const INSERT_SETTINGS = {
  // Asynchronous inserts, the default since 26.2, have lost rows together with deduplication tokens (ClickHouse#111031).
  async_insert: 0,
  // The answer is the truth about the insert only when all of it is done.
  wait_end_of_query: 1,
  insert_deduplicate: 1,
  deduplicate_blocks_in_dependent_materialized_views: 1,
  // Blocks are cut in the same way each time, so that the token finds its own; and an error's row number is right.
  input_format_parallel_parsing: 0,
  // By default a ReplacingMergeTree drops rows of one key already while it inserts: a look-up would miss the older ones,
  // and inserted again they would replace the newer.
  optimize_on_insert: 0,
  // By default an insert into a Distributed table is answered before its rows are there.
  distributed_foreground_insert: 1,
  input_format_skip_unknown_fields: 1,
  // Otherwise of two fields of one name the second is dropped without a word.
  input_format_json_ignore_unnecessary_fields: 0,
  // Otherwise an object for a Nested column is an unknown field, and dropped.
  input_format_import_nested_json: 1,
  date_time_input_format: 'best_effort',
} as const;

/** Why the configuration may not have a setting of ClickHouse; undefined where it may. */
export function whyOwned(setting: string): string | undefined {
  if (Object.hasOwn(INSERT_SETTINGS, setting))
    return `is set to ${String(INSERT_SETTINGS[setting as keyof typeof INSERT_SETTINGS])} by the guarantees`;
  return OWNED.find(([pattern]) => pattern.test(setting))?.[1];
}

const OWNED: readonly [pattern: RegExp, why: string][] = [
  [/^(insert_deduplication_token|deduplicate_insert|log_comment|query_id|session_id)$/, 'is set by the guarantees'],
  [/^(wait_for_)?async_insert/, 'is about asynchronous inserts, which have lost rows; inserts are synchronous'],
  [/^input_format_allow_errors_/, 'would drop rows without a word'],
  [/_overflow_mode$/, 'would cut an insert short and call it done'],
  [
    /^(send_progress_in_http_headers|http_write_exception_in_output_format|http_response_buffer_size)$/,
    'would hide how an insert ended',
  ],
];
