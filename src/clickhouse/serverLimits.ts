import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client';
import { INSERT_SETTINGS_IF_KNOWN } from '../config/insertSettings.js';
import { queryRows, unlessRefused } from './queries.js';
import { DEFAULT_LIMITS, type ValueLimits } from './values/valueCheck.js';

/** What was read of tables and of the server is read again after this time. */
export const READ_MAX_AGE_MS = 30_000;

/**
 * What differs between servers: the settings that they know, and the values that they keep. Known for 30 s, because the
 * server may be upgraded.
 */
export class ServerLimits {
  readonly #client: ClickHouseClient;
  readonly #settings: ClickHouseSettings;
  #known: { readonly limits: ValueLimits; readonly readAtMs: number } | null = null;
  #settingsIfKnown: ClickHouseSettings = {};

  /** @param insertSettings the configuration's settings of inserts */
  constructor(client: ClickHouseClient, insertSettings: ClickHouseSettings) {
    this.#client = client;
    // Of the settings of inserts, this one changes the answer.
    this.#settings = Object.fromEntries(Object.entries(insertSettings).filter(([name]) => name === 'session_timezone'));
  }

  /** Those of {@link INSERT_SETTINGS_IF_KNOWN} that the server knows. Empty before it was asked. */
  get settingsIfKnown(): ClickHouseSettings {
    return this.#settingsIfKnown;
  }

  /**
   * What the server says now, or has said within the last 30 s.
   *
   * @throws InsertError if ClickHouse does not answer
   */
  async read(): Promise<ValueLimits> {
    const known = this.#known;
    if (known !== null && performance.now() - known.readAtMs < READ_MAX_AGE_MS) return known.limits;
    const limits = await this.#ask();
    this.#known = { limits, readAtMs: performance.now() };
    return limits;
  }

  /** The server may have been upgraded. */
  forget(): void {
    this.#known = null;
  }

  async #ask(): Promise<ValueLimits> {
    const asked = queryRows<ServerRow>(
      this.#client,
      `SELECT timezone(),
         toYear(toDateTime64('0001-01-02 00:00:00', 0, 'UTC')), toYear(toDateTime64('9999-12-30 00:00:00', 0, 'UTC')),
         (SELECT groupArray(name) FROM system.settings WHERE name IN {names:Array(String)}),
         toFloat64OrNull('1e+') IS NULL AND toUUIDOrNull('gggggggg-gggg-gggg-gggg-gggggggggggg') IS NULL,
         parseDateTime64BestEffort('1965-06-09T16:05:37.5Z', 3, 'UTC') = toDateTime64('1965-06-09 16:05:37.5', 3, 'UTC')`,
      { names: Object.keys(INSERT_SETTINGS_IF_KNOWN) },
      { settings: this.#settings },
    );
    // A server that refuses this query has none of these settings.
    const rows = await unlessRefused(asked, null);
    if (rows === null) return DEFAULT_LIMITS;
    const [[timeZone, first, last, known, refusesNearly, keepsEarlyFractions]] = rows as [ServerRow];
    this.#settingsIfKnown = Object.fromEntries(
      Object.entries(INSERT_SETTINGS_IF_KNOWN).filter(([name]) => known.includes(name)),
    );
    const [keepsIntegers, keepsIntegersOfArrays] = await this.#askIntegersOfJson();
    return {
      timeZone,
      years: [first, last],
      refusesNearly: Boolean(refusesNearly),
      keepsEarlyFractions: Boolean(keepsEarlyFractions),
      keepsIntegers: Boolean(keepsIntegers),
      keepsIntegersOfArrays: Boolean(keepsIntegersOfArrays),
    };
  }

  /** Whether integers keep their digits in JSON, and in arrays of it. By itself: a server may not know the type, or refuse it. */
  async #askIntegersOfJson(): Promise<readonly number[]> {
    const large = '9007199254740993';
    const keeps = (fraction: string, integer: string): string =>
      `toString(JSONExtract('[{"a":${fraction}},{"a":${integer}}]', 'Array(JSON)')) LIKE '%${large}%'`;
    const query = `SELECT ${keeps('0.5', large)}, ${keeps('[0.5]', `[${large}]`)}`;
    const rows = await unlessRefused(queryRows<number[]>(this.#client, query), []);
    return rows[0] ?? [];
  }
}

/** Numbers for what is true or false: an older server writes no booleans. */
type ServerRow = [
  timeZone: string,
  firstYear: number,
  lastYear: number,
  knownSettings: string[],
  refusesNearly: number,
  keepsEarlyFractions: number,
];
