import type { LogEntry } from '@temporalio/worker';
import { messageOf } from '../lib/messageOf.js';
import type { Logger } from './logging.js';

/** Writes what Temporal's SDK logs to the daemon's log. Its error objects would be `{}` there: they become what they say. */
export function temporalLog(
  logger: Pick<Logger, 'debug' | 'warn' | 'error'>,
): (entry: Pick<LogEntry, 'level' | 'message' | 'meta'>) => void {
  return ({ level, message, meta = {} }) => {
    // Of the worker for requesters, which is meant to have none.
    if (message.startsWith('No workflows registered')) return;
    const { error, ...more } = meta;
    const fields = error === undefined ? more : { ...more, error: messageOf(error) };
    // A failed activity is repeated, and reported by whoever knows what it was about. So is a failed worker; in a drain it is none.
    const isReported = meta['activityType'] !== undefined || message === 'Worker failed';
    logger[isReported ? 'debug' : level === 'ERROR' ? 'error' : 'warn'](fields, `temporal: ${message}`);
  };
}
