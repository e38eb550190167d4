/*
 * Whether an answer is ClickHouse's own, and whether it is a success. A proxy before it may answer, too.
 */
import { ClickHouseError, parseError, type ResponseHeaders } from '@clickhouse/client';
import { classifyForeignAnswer } from './insertErrors.js';

/** The answer to a statement that returns no rows. */
export interface StatementAnswer {
  /** The HTTP status. Undefined if the client does not know it. */
  readonly status: number | undefined;
  readonly headers: ResponseHeaders;
  readonly body: readonly Uint8Array[];
}

/**
 * Checks that ClickHouse itself has answered, and with a success.
 *
 * @throws ClickHouseError if ClickHouse answered with an error
 * @throws InsertError if something else did
 * @throws Error as of {@link mustBeOfClickHouse}
 */
export function mustBeSuccess({ status = 0, headers, body }: StatementAnswer): void {
  const code = headers['x-clickhouse-exception-code'];
  if (status >= 200 && status < 300 && code === undefined) {
    mustBeOfClickHouse(headers);
    return;
  }
  const text = Buffer.concat(body).toString();
  const error = parseError(text);
  if (error instanceof ClickHouseError) throw error;
  // The client reads only errors with a name. Errors of ClickHouse's libraries have none.
  if (code !== undefined) throw new ClickHouseError({ code: String(code), message: text });
  if (isOfClickHouse(headers)) throw new Error('an error of ClickHouse without its text');
  throw classifyForeignAnswer(status);
}

/**
 * Checks that ClickHouse itself answered. The client takes every 2xx for success, even a proxy's page about
 * maintenance. ClickHouse puts both of these headers on every answer to a query. One is enough, because a proxy may
 * remove the other.
 *
 * @throws Error if both are missing: the request may not have reached ClickHouse
 */
export function mustBeOfClickHouse(headers: ResponseHeaders): void {
  if (!isOfClickHouse(headers)) throw new Error('an answer without a header of ClickHouse');
}

function isOfClickHouse(headers: ResponseHeaders): boolean {
  return headers['x-clickhouse-query-id'] !== undefined || headers['x-clickhouse-summary'] !== undefined;
}
