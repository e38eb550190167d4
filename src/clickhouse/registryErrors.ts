import { RegistryError } from '../formats/schemaRegistry.js';
import { asError } from '../lib/asError.js';
import { InsertError } from './insertErrors.js';

/** What holds a batch if the schema registry does not answer. Any other error stays what it is. */
export function ofRegistry(error: unknown): Error {
  if (!(error instanceof RegistryError)) return asError(error);
  // It is no answer of ClickHouse, so the time does not count for `insert.retryFor`.
  const details = { code: CODES[error.kind], message: error.message, cause: error, answered: false };
  return new InsertError(error.kind === 'away' ? 'transient' : 'structural', details);
}

/** The error codes of a registry that does not answer as one should. */
const CODES = { away: 'registry_away', wrong: 'registry_wrong' } as const;
