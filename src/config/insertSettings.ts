/*
 * What is sent here counts, whatever the settings profile of ClickHouse's user has; what is not is the profile's. So all that the
 * configuration may not have is sent, and all that the checks of values take for granted.
 */

/** Settings of every insert and every question: a part must not pass for the whole. A view's query has those of its insert. */
const WHOLE = {
  distinct_overflow_mode: 'throw',
  group_by_overflow_mode: 'throw',
  join_overflow_mode: 'throw',
  read_overflow_mode: 'throw',
  read_overflow_mode_leaf: 'throw',
  result_overflow_mode: 'throw',
  set_overflow_mode: 'throw',
  sort_overflow_mode: 'throw',
  timeout_overflow_mode: 'throw',
  timeout_overflow_mode_leaf: 'throw',
  transfer_overflow_mode: 'throw',
  limit: '0',
  offset: '0',
  send_progress_in_http_headers: 0,
  http_write_exception_in_output_format: 0,
} as const;

/** Settings of every question, so that it finds all that is there now. */
export const QUERY_SETTINGS = {
  ...WHOLE,
  use_query_cache: 0,
  skip_unavailable_shards: 0,
  // Otherwise a ReplacingMergeTree does not show a row that another one replaces: it would be inserted again, as the newer.
  final: 0,
} as const;

/** Settings of every insert, on which the guarantees rest. */
export const INSERT_SETTINGS = {
  ...WHOLE,
  // Asynchronous inserts, the default since 26.2, have lost rows together with deduplication tokens (ClickHouse#111031).
  async_insert: 0,
  // The answer is the truth about the insert only when all of it is done.
  wait_end_of_query: 1,
  insert_deduplicate: 1,
  deduplicate_blocks_in_dependent_materialized_views: 1,
  // Except for an insert that goes on without a view that fails, see `insert.views`.
  materialized_views_ignore_errors: 0,
  // Blocks are cut in the same way each time, so that the token finds its own; and an error's row number is right.
  input_format_parallel_parsing: 0,
  input_format_allow_errors_num: '0',
  input_format_allow_errors_ratio: 0,
  // By default a ReplacingMergeTree drops rows of one key already while it inserts: a look-up would miss the older ones,
  // and inserted again they would replace the newer.
  optimize_on_insert: 0,
  // By default an insert into a Distributed table is answered before its rows are there.
  distributed_foreground_insert: 1,
  input_format_skip_unknown_fields: 1,
  // Otherwise of two fields of one name the second is dropped without a word.
  input_format_json_ignore_unnecessary_fields: 0,
  // Rows name such columns themselves (`n.a`). With it, a field `n` of another kind would be refused, even where it is ignored.
  input_format_import_nested_json: 0,
  date_time_input_format: 'best_effort',
  // Otherwise null, and a field that is not there, are zero, in an enum that has no such element, too.
  input_format_null_as_default: 1,
  input_format_defaults_for_omitted_fields: 1,
  input_format_json_throw_on_bad_escape_sequence: 1,
  // Without it, a JSON column takes what is no UTF-8.
  allow_simdjson: 1,
  // By default a fifth of all floats get another last digit than the nearest float has.
  precise_float_parsing: 1,
} as const;

/** Settings of every insert that the configuration may change. */
export const INSERT_DEFAULTS = {
  // In JSON and Dynamic columns a text stays the text it is. Otherwise what looks like a date is stored as one: the 30th of
  // February as the 1st of March, a time without its zone.
  input_format_try_infer_dates: 0,
  input_format_try_infer_datetimes: 0,
} as const;

/** Settings of every insert to a server that knows them. */
export const INSERT_SETTINGS_IF_KNOWN = {
  // By default a field `Amount` goes into a column `amount`, too: past its checks, and past what the column is mapped from.
  input_format_column_name_matching_mode: 'match_case',
  // It beats insert_deduplicate.
  deduplicate_insert: 'enable',
  // Where a connection breaks, its rows so far must not count as the insert.
  input_format_connection_handling: 0,
  input_format_json_empty_as_default: 0,
  // As such arrays, maps pass unchecked.
  input_format_json_map_as_array_of_tuples: 0,
  type_json_skip_duplicated_paths: 0,
  type_json_skip_invalid_typed_paths: 0,
  // What JSON and Dynamic columns make of values: digits must not be lost, nor numbers and objects become texts.
  input_format_try_infer_integers: 1,
  input_format_try_infer_variants: 0,
  input_format_json_infer_array_of_dynamic_from_array_of_different_types: 1,
  // A number for a DateTime64 counts its ticks, as it has always done; since 26.8 it would be seconds.
  input_format_read_datetime_number_as_raw_value: 1,
  // A text for an AggregateFunction is a state. As a value, 300 would be 44 in a sum of UInt8, and `abc` 0.
  aggregate_function_input_format: 'state',
} as const;

/** Whether the guarantees rest on a setting of inserts or of questions. */
export function isOwned(setting: string): boolean {
  return Object.hasOwn(QUERY_SETTINGS, setting) || whyOwned(setting) !== undefined;
}

/** Why the configuration may not have a setting of ClickHouse; undefined where it may. */
export function whyOwned(setting: string): string | undefined {
  const why = OWNED.find(([pattern]) => pattern.test(setting))?.[1];
  if (why !== undefined) return why;
  const owned: Readonly<Record<string, string | number>> = { ...INSERT_SETTINGS, ...INSERT_SETTINGS_IF_KNOWN };
  return Object.hasOwn(owned, setting) ? `is set to ${owned[setting]} by the guarantees` : undefined;
}

const OWNED: readonly [pattern: RegExp, why: string][] = [
  [/^(insert_deduplication_token|deduplicate_insert|log_comment|query_id|session_id)$/, 'is set by the guarantees'],
  [/^(wait_for_)?async_insert/, 'is about asynchronous inserts, which have lost rows; inserts are synchronous'],
  [/^input_format_allow_errors_/, 'would drop rows without a word'],
  [/(_overflow_mode(_leaf)?|^limit|^offset)$/, 'would cut an insert short and call it done'],
  [
    /^(send_progress_in_http_headers|http_write_exception_in_output_format|http_response_buffer_size)$/,
    'would hide how an insert ended',
  ],
];
