import { ClickHouseError } from '@clickhouse/client';
import { STATUS_CODES } from 'node:http';
import { isOwned } from '../config/insertSettings.js';

/**
 * What to do about a failed insert, see `docs/internals/flush.md`.
 *
 * - `data`: a row is refused, and would be refused again. The row is searched for and rejected alone.
 * - `structural`: the table, a permission or the server is wrong until a person acts. The batch is held. Some of these
 *   errors can also come from one row's value, for example in a default's expression. A row is rejected for one of
 *   those only if an insert without rows succeeds, and the table takes other rows.
 * - `oversized`: the insert is over a limit that a smaller insert may keep. It is halved.
 * - `transient`: it may pass by itself. The batch is held and tried again.
 * - `unknown`: the code is in none of the tables below. A row is rejected for it only if the table takes others.
 */
export type InsertErrorKind = 'data' | 'structural' | 'oversized' | 'transient' | 'unknown';

/** Facts about a failed insert besides its kind. */
interface InsertErrorDetails {
  /** ClickHouse's error number, also if we found out the same by ourselves; otherwise a word. */
  readonly code: string;
  /** It contains no value of a record, so it may go into logs and acknowledgements. */
  readonly message: string;
  readonly cause?: unknown;
  /** The row, counted from 0 among the rows sent, at which ClickHouse gave up. It is a hint, not a proof. */
  readonly suspect?: number | undefined;
  /** False if no answer came. The insert may have succeeded, or may still be running. Default: true. */
  readonly answered?: boolean;
}

/** A failed insert or query. */
export class InsertError extends Error {
  override readonly name = 'InsertError';
  readonly kind: InsertErrorKind;
  readonly code: string;
  readonly suspect: number | undefined;
  readonly answered: boolean;

  constructor(kind: InsertErrorKind, { code, message, cause, suspect, answered = true }: InsertErrorDetails) {
    super(message, { cause });
    this.kind = kind;
    this.code = code;
    this.suspect = suspect;
    this.answered = answered;
  }

  /** Whether the value of a row can be the reason. Many rows may have such a value. */
  get mayBeOfValue(): boolean {
    return this.kind === 'data' || this.kind === 'unknown' || VALUE_CODES.has(this.code);
  }

  /**
   * Whether a single row can be the reason: its value, its cost, or something in it that a proxy refuses. A full disk,
   * for example, is never a row's fault.
   */
  get mayBeOfRow(): boolean {
    if (this.mayBeOfValue || this.kind === 'oversized') return true;
    if (COST_CODES.has(this.code)) return true;
    return !this.isOfClickHouse && (this.kind === 'transient' || this.code === 'http_403');
  }

  /**
   * Whether the machine can be the reason although the code does not say so. Then a row must not be blamed only because
   * the error lasts long.
   */
  get mayBeOfMachine(): boolean {
    return LIBRARY_CODES.has(this.code);
  }

  /** Whether ClickHouse itself has answered. */
  get isOfClickHouse(): boolean {
    return /^\d+$/.test(this.code);
  }
}

/*
 * The tables of codes. Numbers and names are from `src/Common/ErrorCodes.cpp` of ClickHouse, and a test compares them
 * with a running engine. Which code an insert in a JSON format gives was tried out on ClickHouse 26.7.
 */

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
const VALUE_CODES: ReadonlySet<string> = new Set(['36', '43', '44', '48', '50', '62']);

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
const COST_CODES: ReadonlySet<string> = new Set(['159', '160', '173', '241']);

/**
 * Errors of libraries (`POCO_EXCEPTION`, `STD_EXCEPTION`, `UNKNOWN_EXCEPTION`). The reason is a value that a library
 * cannot take, or the machine: 1001, for example, also means a disk without inodes.
 */
const LIBRARY_CODES: ReadonlySet<string> = new Set(['1000', '1001', '1002']);

/** Limits of one insert, whatever its rows are. */
export const OVERSIZED_CODES: Readonly<Record<number, string>> = {
  158: 'TOO_MANY_ROWS',
  307: 'TOO_MANY_BYTES',
  396: 'TOO_MANY_ROWS_OR_BYTES',
};

/**
 * Messages by which a code with several meanings says that the insert is over its own limit. Otherwise 252 means that
 * merges are too slow, and 241 that the server or the user, not this insert, takes too much memory. Both texts of 241
 * are ClickHouse's: `Memory limit (for query) exceeded` before 25.x, `Query memory limit exceeded` since.
 */
const OVERSIZED_WORDS: Readonly<Record<number, { readonly says: RegExp; readonly means: string }>> = {
  241: {
    says: /^\s*(query memory limit|memory limit \(for query\)) exceeded/i,
    means: 'the insert takes more memory than max_memory_usage allows for one query',
  },
  252: {
    says: /^\s*too many partitions for single INSERT block/i,
    means:
      'the rows of one insert belong to more partitions of the table than max_partitions_per_insert_block allows: a coarser PARTITION BY helps',
  },
};

/**
 * Find in a message the column and the row at which ClickHouse gave up. (Row numbers count from 1 and are right only
 * without parallel parsing, ClickHouse#34203.) The message quotes rows, and a row may contain the same words. So a
 * column counts only if the table has it, and a row's number is only a hint.
 */
const COLUMN = /\(while reading the value of key ((?:(?!\(while reading)[^\n])*?)\): /g;
const ROW = /\(at row (\d+)\)/g;

/**
 * Every error of an insert or query gets a kind, and a message without any value of a record. The name of an error
 * comes from the tables above, never from the answer, because a row in the answer can look like a name.
 *
 * @param columns the types of the columns that a message may name
 */
export function classifyInsertError(error: unknown, columns?: Pick<ReadonlyMap<string, string>, 'get'>): InsertError {
  if (error instanceof InsertError) return error;
  if (!(error instanceof ClickHouseError)) return unanswered(error);
  const code = Number(error.code);
  const name = DATA_CODES[code] ?? STRUCTURAL_CODES[code] ?? OVERSIZED_CODES[code] ?? TRANSIENT_CODES[code];
  const oversized = OVERSIZED_WORDS[code];
  const isOversized = code in OVERSIZED_CODES || oversized?.says.test(error.message) === true;
  const setting = refusedSetting(code, error.message);
  const column = [...error.message.matchAll(COLUMN)].at(-1)?.[1];
  const row = [...error.message.matchAll(ROW)].at(-1)?.[1];
  const type = column === undefined ? undefined : columns?.get(column);
  const kind = kindOf(code);
  // Functions that read the state of an aggregation fail with codes of every kind.
  const isOfState = kind !== 'transient' && type !== undefined && /\bAggregateFunction\(/.test(type);
  return new InsertError(isOversized ? 'oversized' : isOfState ? 'data' : kind, {
    code: error.code,
    message:
      `ClickHouse error ${error.code}${name === undefined ? '' : ` (${name})`}` +
      (type === undefined ? '' : ` in column ${column}`) +
      (isOversized && oversized !== undefined ? `: ${oversized.means}` : '') +
      (setting === undefined
        ? ''
        : `: the user's settings profile forbids the setting ${setting}, on which the guarantees rest; let it be changed`),
    cause: error,
    suspect: row === undefined ? undefined : Number(row) - 1,
  });
}

const READONLY = 164;
const SETTING_CONSTRAINT_VIOLATION = 452;
/** The texts of `SettingsConstraints.cpp` of ClickHouse. */
const REFUSED_SETTING = /\b(?:Cannot modify '|Setting )(\w+)/;

/** One of our settings that the user's profile forbids to change. */
function refusedSetting(code: number, text: string): string | undefined {
  if (code !== READONLY && code !== SETTING_CONSTRAINT_VIOLATION) return undefined;
  const setting = REFUSED_SETTING.exec(text)?.[1];
  return setting !== undefined && isOwned(setting) ? setting : undefined;
}

/** The client's message if a request had no answer in time. */
const CLIENT_TIMEOUT = 'Timeout error.';

/**
 * An error without an answer of ClickHouse: a time-out, a broken or failed connection, or another server's answer. Only
 * messages of the system are passed on, because another server's text may quote the request.
 */
function unanswered(error: unknown): InsertError {
  const known = error instanceof Error && ('syscall' in error || 'code' in error || error.message === CLIENT_TIMEOUT);
  const code = (error as NodeJS.ErrnoException | null | undefined)?.code ?? 'no_answer';
  const message = known ? `ClickHouse did not answer: ${error.message}` : 'what answered was not ClickHouse';
  return new InsertError('transient', { code, message, cause: error, answered: false });
}

function kindOf(code: number): InsertErrorKind {
  if (code in DATA_CODES) return 'data';
  if (code in STRUCTURAL_CODES) return 'structural';
  return code in TRANSIENT_CODES ? 'transient' : 'unknown';
}

/** What HTTP statuses of a proxy before ClickHouse mean for an insert. All others may pass by themselves. */
const STATUS_KINDS: Readonly<Record<number, readonly [kind: InsertErrorKind, hint: string]>> = {
  401: ['structural', 'it wants a login of its own'],
  403: ['structural', 'it does not let the request through'],
  404: ['structural', 'clickhouse.url does not lead to ClickHouse'],
  405: ['structural', 'it takes no POST requests'],
  407: ['structural', 'it wants a login of its own'],
  413: ['oversized', 'the insert is larger than it lets through'],
  414: ['structural', 'it takes shorter addresses only, and clickhouse.settings are part of the address'],
  431: ['structural', 'it takes shorter requests only, and clickhouse.settings are part of the address'],
};

/**
 * An error that something other than ClickHouse answered, for example a proxy. Its text is not passed on, because it
 * may quote the request.
 */
export function classifyForeignAnswer(status: number): InsertError {
  const [kind, hint] = STATUS_KINDS[status] ?? ['transient', ''];
  const message = `what answered was not ClickHouse: HTTP ${status} ${STATUS_CODES[status] ?? ''}`.trimEnd();
  return new InsertError(kind, {
    code: `http_${status}`,
    message: hint === '' ? message : `${message}: ${hint}`,
    // A refused request has not reached ClickHouse. After any other error, such as a gateway's time-out, it may have.
    answered: kind !== 'transient',
  });
}
