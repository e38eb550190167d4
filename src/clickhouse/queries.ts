/*
 * Queries, and what to take in place of an answer that ClickHouse refuses to give.
 */
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client';
import { QUERY_SETTINGS } from '../config/insertSettings.js';
import { mustBeOfClickHouse } from './statementAnswer.js';
import { ACCESS_DENIED, UNKNOWN_TABLE } from './errorCodes.js';
import { classifyInsertError, InsertError } from './insertErrors.js';
import { awayNoteOf } from './servers.js';

interface QueryOptions<Row> {
  /** In addition to {@link QUERY_SETTINGS}. Default: none. */
  readonly settings?: ClickHouseSettings;
  /** Which rows are returned. The others are dropped as they come. Default: all. */
  readonly keeps?: (row: Row) => boolean;
}

/**
 * The rows that a query selects.
 *
 * @throws InsertError
 */
export async function queryRows<Row>(
  client: ClickHouseClient,
  query: string,
  parameters: Record<string, unknown> = {},
  { settings = {}, keeps = () => true }: QueryOptions<Row> = {},
): Promise<Row[]> {
  const noteAway = awayNoteOf(client);
  try {
    const result = await client.query({
      query,
      query_params: parameters,
      format: 'JSONCompactEachRow',
      clickhouse_settings: { ...settings, ...QUERY_SETTINGS },
    });
    const rows: Row[] = [];
    for await (const part of result.stream<Row>()) {
      for (const text of part) {
        const row = text.json();
        if (keeps(row)) rows.push(row);
      }
    }
    mustBeOfClickHouse(result.response_headers);
    return rows;
  } catch (error) {
    const classified = classifyInsertError(error);
    if (!classified.answered) noteAway();
    throw classified;
  }
}

/** The answer, or a replacement if the user may not ask. */
export function unlessDenied<Answer, Instead>(asked: Promise<Answer>, instead: Instead): Promise<Answer | Instead> {
  return unless(({ code }) => code === ACCESS_DENIED, asked, instead);
}

/** The answer, or a replacement if there is no such table. */
export function unlessMissing<Answer, Instead>(asked: Promise<Answer>, instead: Instead): Promise<Answer | Instead> {
  return unless(({ code }) => code === UNKNOWN_TABLE, asked, instead);
}

/** The answer, or a replacement if ClickHouse answers with an error that stays: the server does not know the question. */
export function unlessRefused<Answer, Instead>(asked: Promise<Answer>, instead: Instead): Promise<Answer | Instead> {
  return unless(({ answered, kind }) => answered && kind !== 'transient', asked, instead);
}

async function unless<Answer, Instead>(
  isExpected: (error: InsertError) => boolean,
  asked: Promise<Answer>,
  instead: Instead,
): Promise<Answer | Instead> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof InsertError && isExpected(error)) return instead;
    throw error;
  }
}
