import { ClickHouseError } from '@clickhouse/client';
import { STATUS_CODES } from 'node:http';
import { isOwned } from '../config/insertSettings.js';
import {
  COLUMN_CODES,
  COST_CODES,
  DATA_CODES,
  LIBRARY_CODES,
  OVERSIZED_CODES,
  SOURCE_CODES,
  STRUCTURAL_CODES,
  TRANSIENT_CODES,
  UNKNOWN_CODES,
  VALUE_CODES,
} from './errorCodes.js';

/**
 * What to do about a failed insert, see `docs/internals/flush.md`.
 *
 * - `data`: a row is refused, and would be refused again. The row is searched for and rejected alone.
 * - `structural`: the table, a permission or the server is wrong until a person acts. The batch is held. Some of these
 *   errors can also come from one row's value, for example in a default's expression. A row is rejected for one of
 *   those only if an insert without rows succeeds, and the table takes other rows.
 * - `oversized`: the insert is over a limit that a smaller insert may keep. It is halved.
 * - `transient`: it may pass by itself. The batch is held and tried again.
 * - `unknown`: the code is in none of the other tables of `errorCodes.ts`. A row is rejected for it only if the table takes others.
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
   * Whether a single row can be the reason: its value, its cost, a key that the source of a dictionary refuses, or
   * something that a proxy refuses. A full disk, for example, is never a row's fault.
   */
  get mayBeOfRow(): boolean {
    if (this.mayBeOfValue || this.kind === 'oversized') return true;
    if (COST_CODES.has(this.code) || this.#isOfSource) return true;
    return !this.isOfClickHouse && (this.kind === 'transient' || this.code === 'http_403');
  }

  /**
   * Whether the name or the type of a column can be the reason, or a value that a type is inferred from. A full disk, a
   * missing right and a setting never are.
   */
  get mayBeOfColumn(): boolean {
    return this.kind === 'data' || COLUMN_CODES.has(this.code);
  }

  /**
   * Whether the machine, such as its disk, can be the reason although the code does not say so. Then a row must not be
   * blamed only because the error lasts long.
   */
  get mayBeOfMachine(): boolean {
    return isOfLibrary(this.code) && !this.#isOfSource;
  }

  /** Whether a source that a dictionary or a view reads has refused, or is away. */
  get #isOfSource(): boolean {
    return SOURCE_CODES.has(this.code) || (isOfLibrary(this.code) && this.kind === 'transient');
  }

  /** Whether ClickHouse itself has answered. */
  get isOfClickHouse(): boolean {
    return /^\d+$/.test(this.code);
  }
}

/**
 * Messages by which a code with several meanings says that the insert is over its own limit. Otherwise 252 means that
 * merges are too slow, and 241 that the server or the user, not this insert, takes too much memory. Both texts of 241
 * are ClickHouse's: `Memory limit (for query) exceeded` before 25.x, `Query memory limit exceeded` since.
 */
const OVERSIZED_WORDS: Readonly<Record<number, { readonly says: RegExp; readonly means: string }>> = {
  241: {
    says: /^\s*(query memory limit|memory limit \(for query\)) exceeded/i,
    means: 'an insert or a look-up takes more memory than max_memory_usage allows for one query',
  },
  252: {
    says: /^\s*too many partitions for single INSERT block/i,
    means:
      'the rows of one insert belong to more partitions of the table, or of the target of a view, than max_partitions_per_insert_block allows: a coarser PARTITION BY helps',
  },
};

/**
 * What a library says if a server that a dictionary or a view reads does not answer, or goes away: Redis, for example,
 * if nothing listens there (`Connection refused`), MongoDB (`No suitable servers found`), and PostgreSQL while it starts
 * again (`the database system is starting up`). A file system that is a network's says some of it, too.
 */
const SOURCE_IS_AWAY =
  /^(?!.*filesystem error).*(?:connection (?:refused|reset|closed)|(?:closed the|terminating|lost) connection|has gone away|starting up|broken pipe|is loading|not (?:primary|master)|no suitable servers|host not found|translate host name|no route to host|net ?exception|timed? ?out|timeout)/is;

/**
 * Find in a message the column and the row at which ClickHouse gave up. (Row numbers count from 1 and are right only
 * without parallel parsing, ClickHouse#34203.) The message quotes rows, and a row may contain the same words. So a
 * column counts only if the table has it, and a row's number is only a hint.
 */
const COLUMN = /\(while reading the value of key ((?:(?!\(while reading)[^\n])*?)\): /g;
const ROW = /\(at row (\d+)\)/g;

/** The same if a constraint of the table is violated. It says this first, before it quotes the row. */
const VIOLATING_ROW = /^Constraint .*? is violated at row (\d+)\. Expression/s;

/**
 * Every error of an insert or query gets a kind, and a message without any value of a record. The name of an error
 * comes from those tables, never from the answer, because a row in the answer can look like a name.
 *
 * @param columns the types of the columns that a message may name
 * @param settings `clickhouse.settings`, if they were sent
 */
export function classifyInsertError(
  error: unknown,
  columns?: Pick<ReadonlyMap<string, string>, 'get'>,
  settings: ConfiguredSettings = {},
): InsertError {
  if (error instanceof InsertError) return error;
  if (!(error instanceof ClickHouseError)) return unanswered(error);
  const code = Number(error.code);
  const name =
    DATA_CODES[code] ?? STRUCTURAL_CODES[code] ?? OVERSIZED_CODES[code] ?? TRANSIENT_CODES[code] ?? UNKNOWN_CODES[code];
  const oversized = OVERSIZED_WORDS[code];
  const isOversized = code in OVERSIZED_CODES || oversized?.says.test(error.message) === true;
  const setting = refusedSetting(code, error.message);
  const column = [...error.message.matchAll(COLUMN)].at(-1)?.[1];
  const row = VIOLATING_ROW.exec(error.message)?.[1] ?? [...error.message.matchAll(ROW)].at(-1)?.[1];
  const type = column === undefined ? undefined : columns?.get(column);
  const kind = kindOf(code, error.message);
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
        : `: the user's settings profile forbids the setting ${setting}, on which the guarantees rest; let it be changed`) +
      ofConfiguration(code, error.message, settings),
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

/** The `clickhouse.settings` of the configuration, by name. */
type ConfiguredSettings = Readonly<Record<string, unknown>>;

const BAD_ARGUMENTS = 36;
const UNKNOWN_DATABASE = 81;
const UNKNOWN_SETTING = 115;
/** ClickHouse's texts of these errors, from their beginning. A row's value could only come later. */
const UNKNOWN_SETTING_TEXT = /^\s*(?:Unknown setting|Setting) '?(\w+)(?:[^\n]*?maybe you meant:? \['(\w+)')?/i;
const BAD_TIME_ZONE_TEXT = /^\s*Invalid time zone: /;
const BAD_CHOICE_TEXT = /^\s*Unexpected value of \w+: '([^'\n]*)'/;
const UNKNOWN_DATABASE_TEXT = /^\s*Database (`[^`\n]+`|\w+) does(?: not|n't) exist/;

/** Which key of the configuration ClickHouse refuses, and what to do. Empty if the error is not of the configuration. */
function ofConfiguration(code: number, text: string, settings: ConfiguredSettings): string {
  if (code === UNKNOWN_DATABASE) {
    const database = UNKNOWN_DATABASE_TEXT.exec(text)?.[1];
    if (database === undefined) return '';
    return `: there is no database ${database}: create it, or correct clickhouse.database or the name of the table`;
  }
  if (code === UNKNOWN_SETTING) {
    const [, name, meant] = UNKNOWN_SETTING_TEXT.exec(text) ?? [];
    if (name === undefined || !Object.hasOwn(settings, name)) return '';
    const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
    return `: ClickHouse does not know clickhouse.settings.${name}: correct the name or remove it${hint}`;
  }
  if (code !== BAD_ARGUMENTS) return '';
  const choice = BAD_CHOICE_TEXT.exec(text)?.[1];
  const refused = BAD_TIME_ZONE_TEXT.test(text)
    ? Object.keys(settings).filter((name) => name === 'session_timezone')
    : Object.keys(settings).filter((name) => settings[name] === choice);
  if (refused.length === 0) return '';
  const keys = refused.map((name) => `clickhouse.settings.${name}`).join(' or ');
  return `: ClickHouse does not take the value of ${keys}: correct it`;
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

function kindOf(code: number, message: string): InsertErrorKind {
  if (code in DATA_CODES) return 'data';
  if (code in STRUCTURAL_CODES) return 'structural';
  if (code in LIBRARY_CODES && SOURCE_IS_AWAY.test(message)) return 'transient';
  return code in TRANSIENT_CODES ? 'transient' : 'unknown';
}

function isOfLibrary(code: string): boolean {
  return Object.hasOwn(LIBRARY_CODES, code);
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
