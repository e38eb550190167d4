/*
 * ClickHouse's error codes, by what they mean for an insert. Numbers and names are from `src/Common/ErrorCodes.cpp` of
 * ClickHouse, and a test compares them with a running engine. Which code an insert in a JSON format gives was tried out
 * on ClickHouse 26.7.
 */

/* Codes with a meaning of their own, as texts, like the client gives them. */
export const NO_SUCH_COLUMN_IN_TABLE = '16';
export const UNKNOWN_TABLE = '60';
export const TIMEOUT_EXCEEDED = '159';
export const ACCESS_DENIED = '497';

/**
 * A value that its column cannot take. Most codes are those of `isParseError` in
 * `src/Processors/Formats/IRowInputFormat.cpp`. The others come from conversions, constraints, and expressions of
 * defaults, partition keys and views. CANNOT_READ_ALL_DATA and ATTEMPT_TO_READ_AFTER_EOF are not listed, because a body
 * that was cut off gives them, too.
 */
export const DATA_CODES: Readonly<Record<number, string>> = {
  6: 'CANNOT_PARSE_TEXT',
  25: 'CANNOT_PARSE_ESCAPE_SEQUENCE',
  26: 'CANNOT_PARSE_QUOTED_STRING',
  27: 'CANNOT_PARSE_INPUT_ASSERTION_FAILED',
  38: 'CANNOT_PARSE_DATE',
  41: 'CANNOT_PARSE_DATETIME',
  53: 'TYPE_MISMATCH',
  69: 'ARGUMENT_OUT_OF_BOUND',
  70: 'CANNOT_CONVERT_TYPE',
  72: 'CANNOT_PARSE_NUMBER',
  117: 'INCORRECT_DATA',
  128: 'TOO_LARGE_ARRAY_SIZE',
  130: 'CANNOT_READ_ARRAY_FROM_TEXT',
  131: 'TOO_LARGE_STRING_SIZE',
  153: 'ILLEGAL_DIVISION',
  190: 'SIZES_OF_ARRAYS_DONT_MATCH',
  306: 'TOO_DEEP_RECURSION',
  321: 'VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE',
  349: 'CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN',
  366: 'SIZES_OF_NESTED_COLUMNS_ARE_INCONSISTENT',
  376: 'CANNOT_PARSE_UUID',
  395: 'FUNCTION_THROW_IF_VALUE_IS_NON_ZERO',
  407: 'DECIMAL_OVERFLOW',
  441: 'CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING',
  467: 'CANNOT_PARSE_BOOL',
  469: 'VIOLATED_CONSTRAINT',
  563: 'CANNOT_READ_MAP_FROM_TEXT',
  621: 'CANNOT_NORMALIZE_STRING',
  632: 'UNEXPECTED_DATA_AFTER_PARSED_VALUE',
  645: 'NUMBER_OF_DIMENSIONS_MISMATCHED',
  675: 'CANNOT_PARSE_IPV4',
  676: 'CANNOT_PARSE_IPV6',
  691: 'UNKNOWN_ELEMENT_OF_ENUM',
};

/** Missing or altered tables, permissions, settings, queries that the server does not know, a full or broken disk. */
export const STRUCTURAL_CODES: Readonly<Record<number, string>> = {
  8: 'THERE_IS_NO_COLUMN',
  10: 'NOT_FOUND_COLUMN_IN_BLOCK',
  15: 'DUPLICATE_COLUMN',
  16: 'NO_SUCH_COLUMN_IN_TABLE',
  20: 'NUMBER_OF_COLUMNS_DOESNT_MATCH',
  36: 'BAD_ARGUMENTS',
  42: 'NUMBER_OF_ARGUMENTS_DOESNT_MATCH',
  43: 'ILLEGAL_TYPE_OF_ARGUMENT',
  44: 'ILLEGAL_COLUMN',
  46: 'UNKNOWN_FUNCTION',
  47: 'UNKNOWN_IDENTIFIER',
  48: 'NOT_IMPLEMENTED',
  50: 'UNKNOWN_TYPE',
  60: 'UNKNOWN_TABLE',
  62: 'SYNTAX_ERROR',
  63: 'UNKNOWN_AGGREGATE_FUNCTION',
  73: 'UNKNOWN_FORMAT',
  74: 'CANNOT_READ_FROM_FILE_DESCRIPTOR',
  75: 'CANNOT_WRITE_TO_FILE_DESCRIPTOR',
  76: 'CANNOT_OPEN_FILE',
  80: 'INCORRECT_QUERY',
  81: 'UNKNOWN_DATABASE',
  115: 'UNKNOWN_SETTING',
  122: 'INCOMPATIBLE_COLUMNS',
  161: 'TOO_MANY_COLUMNS',
  164: 'READONLY',
  192: 'UNKNOWN_USER',
  193: 'WRONG_PASSWORD',
  194: 'REQUIRED_PASSWORD',
  195: 'IP_ADDRESS_NOT_ALLOWED',
  218: 'TABLE_IS_DROPPED',
  243: 'NOT_ENOUGH_SPACE',
  291: 'DATABASE_ACCESS_DENIED',
  344: 'SUPPORT_IS_DISABLED',
  392: 'QUERY_IS_PROHIBITED',
  446: 'FUNCTION_NOT_ALLOWED',
  452: 'SETTING_CONSTRAINT_VIOLATION',
  471: 'INVALID_SETTING_VALUE',
  472: 'READONLY_SETTING',
  481: 'PATH_ACCESS_DENIED',
  482: 'DICTIONARY_ACCESS_DENIED',
  492: 'ACCESS_ENTITY_NOT_FOUND',
  497: 'ACCESS_DENIED',
  511: 'UNKNOWN_ROLE',
  512: 'SET_NON_GRANTED_ROLE',
  516: 'AUTHENTICATION_FAILED',
  720: 'USER_EXPIRED',
  772: 'INCOMPATIBLE_SCHEMA',
  774: 'TABLE_IS_PERMANENTLY_READ_ONLY',
};

/** Structural codes with which functions in a table's expressions fail because of an argument's value. */
export const VALUE_CODES: ReadonlySet<string> = new Set(['36', '43', '44', '48', '50', '62']);

/**
 * Load, limits, network, replication. The first ones are those that ClickHouse's own Kafka Connect sink repeats
 * (`Utils.java` of clickhouse-kafka-connect), without READONLY, which a person has to change.
 */
export const TRANSIENT_CODES: Readonly<Record<number, string>> = {
  3: 'UNEXPECTED_END_OF_FILE',
  107: 'FILE_DOESNT_EXIST',
  159: 'TIMEOUT_EXCEEDED',
  202: 'TOO_MANY_SIMULTANEOUS_QUERIES',
  203: 'NO_FREE_CONNECTION',
  209: 'SOCKET_TIMEOUT',
  210: 'NETWORK_ERROR',
  241: 'MEMORY_LIMIT_EXCEEDED',
  242: 'TABLE_IS_READ_ONLY',
  252: 'TOO_MANY_PARTS',
  285: 'TOO_FEW_LIVE_REPLICAS',
  319: 'UNKNOWN_STATUS_OF_INSERT',
  425: 'SYSTEM_ERROR',
  999: 'KEEPER_EXCEPTION',
  23: 'CANNOT_READ_FROM_ISTREAM',
  95: 'CANNOT_READ_FROM_SOCKET',
  96: 'CANNOT_WRITE_TO_SOCKET',
  160: 'TOO_SLOW',
  173: 'CANNOT_ALLOCATE_MEMORY',
  198: 'DNS_ERROR',
  201: 'QUOTA_EXCEEDED',
  216: 'QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING',
  225: 'NO_ZOOKEEPER',
  236: 'ABORTED',
  244: 'UNEXPECTED_ZOOKEEPER_ERROR',
  254: 'NO_ACTIVE_REPLICAS',
  265: 'NO_AVAILABLE_REPLICA',
  279: 'ALL_CONNECTION_TRIES_FAILED',
  286: 'UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE',
  289: 'REPLICA_IS_NOT_IN_QUORUM',
  364: 'RECEIVED_ERROR_TOO_MANY_REQUESTS',
  369: 'ALL_REPLICAS_ARE_STALE',
  394: 'QUERY_WAS_CANCELLED',
  416: 'REPLICA_STATUS_CHANGED',
  439: 'CANNOT_SCHEDULE_TASK',
  473: 'DEADLOCK_AVOIDED',
  499: 'S3_ERROR',
  574: 'DISTRIBUTED_TOO_MANY_PENDING_BYTES',
  692: 'TOO_MANY_MUTATIONS',
  700: 'USER_SESSION_LIMIT_EXCEEDED',
  733: 'TABLE_IS_BEING_RESTARTED',
  735: 'QUERY_WAS_CANCELLED_BY_CLIENT',
  745: 'SERVER_OVERLOADED',
  749: 'TCP_CONNECTION_LIMIT_REACHED',
  762: 'HTTP_CONNECTION_LIMIT_REACHED',
  776: 'RESOURCE_LIMIT_EXCEEDED',
};

/** Transient codes whose reason can be the time or memory that one row takes. */
export const COST_CODES: ReadonlySet<string> = new Set(['159', '160', '173', '241']);

/**
 * Errors of libraries (`POCO_EXCEPTION`, `STD_EXCEPTION`, `UNKNOWN_EXCEPTION`). The reason is a value that a library
 * cannot take, or the machine: 1001, for example, also means a disk without inodes.
 */
export const LIBRARY_CODES: ReadonlySet<string> = new Set(['1000', '1001', '1002']);

/** Limits of one insert, whatever its rows are. */
export const OVERSIZED_CODES: Readonly<Record<number, string>> = {
  158: 'TOO_MANY_ROWS',
  307: 'TOO_MANY_BYTES',
  396: 'TOO_MANY_ROWS_OR_BYTES',
};
