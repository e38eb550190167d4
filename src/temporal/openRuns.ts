/** What Temporal says of a run that has not ended, and what a later Temporal may say that is not known here. */
const OPEN: ReadonlySet<string> = new Set(['RUNNING', 'PAUSED', 'CONTINUED_AS_NEW', 'UNSPECIFIED', 'UNKNOWN']);

/**
 * Whether a workflow has an open run.
 *
 * @param status the name of its status in a description, such as `RUNNING` or `TERMINATED`
 */
export function isOpen(status: string): boolean {
  return OPEN.has(status);
}
