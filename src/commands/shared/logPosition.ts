import { UsageError } from '../../lib/usageError.js';

/** A position in the log of a partition: an offset, its start, or a time, which is compared with the records' own timestamps. */
export type LogPosition = number | 'earliest' | { readonly timestampMs: number };

/**
 * @param option name of the option, for the message
 * @throws UsageError
 */
export function parsePosition(option: string, text: string): LogPosition {
  if (text === 'earliest') return text;
  if (/^\d{1,15}$/.test(text)) return Number(text);
  const timestampMs = Date.parse(text);
  const [day] = /^\d{4}-\d\d-\d\d(?=T)/.exec(text) ?? [];
  if (day !== undefined && !Number.isNaN(timestampMs)) {
    // JavaScript takes the 31st of February for a day of March.
    if (!new Date(`${day}T00:00:00Z`).toISOString().startsWith(day))
      throw new UsageError(`${option} ${text}: the calendar has no day ${day}`);
    if (/(Z|[+-]\d\d:?\d\d)$/i.test(text)) return { timestampMs };
    throw new UsageError(`${option} ${text} names no time zone: end it with Z or with an offset such as +02:00`);
  }
  throw new UsageError(`${option} ${text} is neither a time such as 2026-01-31T00:00:00Z, nor an offset, nor earliest`);
}
