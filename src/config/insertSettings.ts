/*
 * The settings of ClickHouse that the daemon sends. A setting that is sent overrides the settings profile of the user;
 * any other has the profile's value. So the daemon sends all settings that the configuration may not change, and all
 * that the checks of values rely on.
 */

/**
 * Settings of every insert and query. A limit must cause an error, never a partial result that looks complete. A view's
 * query has the settings of its insert.
 */
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
  // Only an answer after the end of an insert tells whether it succeeded. And the answer to a query is one error, or whole:
  // otherwise an error in its middle comes as text after rows (before 25.11), and one that is cut off ends like a whole one
  // behind a proxy that speaks HTTP/1.0.
  wait_end_of_query: 1,
} as const;

/** Settings of every query, so that it finds everything that is in the table now. */
export const QUERY_SETTINGS = {
  ...WHOLE,
  use_query_cache: 0,
  skip_unavailable_shards: 0,
  // Otherwise a ReplacingMergeTree hides a row that another row replaces. It would be inserted again, as the newer one.
  final: 0,
} as const;

/** Settings of every insert on which the guarantees rest. */
export const INSERT_SETTINGS = {
  ...WHOLE,
  // Asynchronous inserts are the default since 26.2. They have lost rows together with deduplication tokens
  // (ClickHouse#111031).
  async_insert: 0,
  insert_deduplicate: 1,
  deduplicate_blocks_in_dependent_materialized_views: 1,
  // An insert that ignores failing views overrides this, see `insert.views`.
  materialized_views_ignore_errors: 0,
  // Then blocks are cut in the same way each time, so a token meets the same rows again, and an error's row number is
  // right.
  input_format_parallel_parsing: 0,
  input_format_allow_errors_num: '0',
  input_format_allow_errors_ratio: 0,
  // By default a ReplacingMergeTree drops rows with the same key during the insert. A look-up would miss the older
  // ones, and if they were inserted again, they would replace the newer.
  optimize_on_insert: 0,
  // By default an insert into a Distributed table is answered before its rows are there.
  distributed_foreground_insert: 1,
  input_format_skip_unknown_fields: 1,
  // Otherwise, if two fields have the same name, the second is dropped silently.
  input_format_json_ignore_unnecessary_fields: 0,
  // Rows name such columns themselves (`n.a`). With this setting, a field `n` of another kind would be refused even if
  // it is ignored.
  input_format_import_nested_json: 0,
  date_time_input_format: 'best_effort',
  // Otherwise null and a missing field become zero, even in an enum that has no such element.
  input_format_null_as_default: 1,
  input_format_defaults_for_omitted_fields: 1,
  input_format_json_throw_on_bad_escape_sequence: 1,
  // Without it a JSON column accepts bytes that are no UTF-8.
  allow_simdjson: 1,
  // By default a fifth of all floats are stored with a wrong last digit.
  precise_float_parsing: 1,
} as const;

/** Settings of every insert that the configuration may change. */
export const INSERT_DEFAULTS = {
  // So that a text in a JSON or Dynamic column stays a text. Otherwise what looks like a date is stored as one: the
  // 30th of February as the 1st of March, a time without its zone.
  input_format_try_infer_dates: 0,
  input_format_try_infer_datetimes: 0,
} as const;

/** Settings of every insert, if the server knows them. */
export const INSERT_SETTINGS_IF_KNOWN = {
  // By default a field `Amount` also goes into a column `amount`. It would bypass the column's checks and its mapping.
  input_format_column_name_matching_mode: 'match_case',
  // It overrides insert_deduplicate.
  deduplicate_insert: 'enable',
  // If the connection breaks, the rows sent so far must not count as the insert.
  input_format_connection_handling: 0,
  input_format_json_empty_as_default: 0,
  // Maps in the form of such arrays are not checked.
  input_format_json_map_as_array_of_tuples: 0,
  // Fields of a tuple's object without an element are left out, as `unknownFields` says: it is decided before.
  input_format_json_ignore_unknown_keys_in_named_tuple: 1,
  type_json_skip_duplicated_paths: 0,
  type_json_skip_invalid_typed_paths: 0,
  // How JSON and Dynamic columns store values: no digits may be lost, and numbers and objects must not become texts.
  input_format_try_infer_integers: 1,
  input_format_try_infer_variants: 0,
  input_format_json_infer_array_of_dynamic_from_array_of_different_types: 1,
  // A number for a DateTime64 counts ticks, as before. Since 26.8 it would count seconds.
  input_format_read_datetime_number_as_raw_value: 1,
  // A text for an AggregateFunction is a state. As a value, 300 would become 44 in a sum of UInt8, and `abc` 0.
  aggregate_function_input_format: 'state',
} as const;

/**
 * Settings with which types of columns are inferred from rows of JSON, each if the server knows it. With others from a
 * profile, `"01234"` would become an integer.
 */
export const INFERENCE_SETTINGS = {
  schema_inference_mode: 'default',
  schema_inference_hints: '',
  schema_inference_make_columns_nullable: 1,
  schema_inference_make_json_columns_nullable: 0,
  date_time_input_format: 'best_effort',
  input_format_try_infer_integers: 1,
  // A person reads the types before they are used.
  input_format_try_infer_dates: 1,
  input_format_try_infer_datetimes: 1,
  input_format_try_infer_datetimes_only_datetime64: 0,
  input_format_try_infer_exponent_floats: 0,
  input_format_try_infer_variants: 0,
  input_format_json_try_infer_numbers_from_strings: 0,
  input_format_json_try_infer_named_tuples_from_objects: 1,
  input_format_json_infer_incomplete_types_as_strings: 1,
  input_format_json_infer_array_of_dynamic_from_array_of_different_types: 1,
  input_format_json_read_bools_as_numbers: 1,
  input_format_json_read_bools_as_strings: 1,
  input_format_json_read_numbers_as_strings: 1,
  input_format_json_read_objects_as_strings: 1,
  input_format_json_read_arrays_as_strings: 1,
} as const;

/** Whether the guarantees rest on a setting. */
export function isOwned(setting: string): boolean {
  return Object.hasOwn(QUERY_SETTINGS, setting) || whyOwned(setting) !== undefined;
}

/** Why the configuration may not have a setting of ClickHouse. Undefined if it may. */
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
