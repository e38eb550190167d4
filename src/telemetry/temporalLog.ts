import type { LogEntry } from '@temporalio/worker';
import { messageOf } from '../lib/messageOf.js';
import type { Logger } from './logging.js';

/**
 * Writes what Temporal's SDK logs to the daemon's log. An error object would appear there as `{}`, so its message is
 * logged. What the SDK adds of a task is left out: it is a whole batch, in two forms.
 */
export function temporalLog(
  logger: Pick<Logger, 'debug' | 'warn' | 'error'>,
): (entry: Pick<LogEntry, 'level' | 'message' | 'meta'>) => void {
  return ({ level, message, meta = {} }) => {
    // The worker for requesters has no workflows on purpose.
    if (message.startsWith('No workflows registered')) return;
    const { error, task: _, taskEncoded: __, ...more } = meta;
    const fields = error === undefined ? more : { ...more, error: messageOf(error) };
    // A failed activity is retried, and the activity itself logs it with more context. An attempt that could not begin may
    // be of anybody who schedules activities here; Temporal has its failure. A failed worker is logged by `LastingWorker`,
    // and during a drain it is no failure.
    const isReported =
      meta['activityType'] !== undefined ||
      message.startsWith('Error while processing ActivityTask') ||
      message === 'Worker failed';
    logger[isReported ? 'debug' : level === 'ERROR' ? 'error' : 'warn'](fields, `temporal: ${message}`);
  };
}
