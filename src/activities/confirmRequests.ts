import type { FlushActivities } from '../protocol/flushActivities.js';
import type { Answers } from './answers.js';

/** The activity that tries once more to deliver confirmations to their requesters. */
export function confirmRequests({ answers }: { readonly answers: Answers }): FlushActivities['confirmRequests'] {
  return (pipeline, unconfirmed) => answers.deliver(pipeline, unconfirmed);
}
