import { decodeRejected } from '../codecs/rejectionCodec.js';
import { publishDeadLetters } from '../kafka/deadLetters.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import type { Answers } from './answers.js';
import type { Attempts } from './attempts.js';
import { divideRequests } from './batchRecords.js';
import type { ActivityDependencies } from './dependencies.js';
import type { BatchMemos } from './memos.js';
import { timed } from './timed.js';

/** The activity that publishes dead letters and negative acknowledgements for the records that a flush has rejected. */
export function rejectRecords({
  attempts,
  answers,
  publisher,
  metrics,
  memos,
}: Pick<ActivityDependencies, 'publisher' | 'metrics'> & {
  readonly attempts: Attempts;
  readonly answers: Answers;
  readonly memos: BatchMemos;
}): FlushActivities['rejectRecords'] {
  return (spec, bytes) =>
    attempts.admit(
      'rejectRecords',
      spec,
      async (attempt) => {
        const { pipeline, destination } = spec;
        const rejected = decodeRejected(bytes);
        // A request needs no dead letter: its requester gets the answer, still has the row, and can submit it again.
        const [requests, records] = divideRequests(rejected);
        // The dead letter of a stub's original was published before the stub was sent.
        const letters = records.filter(({ record }) => record.tooLargeBytes === undefined);
        const unconfirmed = await answers.confirm(spec, 'rejected', requests, attempt);
        await timed(metrics, pipeline, 'reject', async () => {
          if (letters.length > 0 && memos.of(attempt.activityKey).deadLetters === undefined) {
            attempt.mustBeAlive();
            await publishDeadLetters(publisher, destination.deadLetterTopic, pipeline, letters);
            for (const { rejection } of letters) metrics.deadLetters.inc({ pipeline, code: rejection.code });
            // If the acknowledgements fail, the repeated attempt does not publish the dead letters again.
            memos.note(attempt.activityKey, { deadLetters: true });
          }
          // Only now: dead letters do not wait for a reply topic that is away.
          answers.mustBeAnswerable(attempt, 'rejected');
          await answers.acknowledge(spec, destination, 'rejected', records, attempt);
        });
        metrics.completed.inc({ pipeline, outcome: 'rejected' }, rejected.length);
        return unconfirmed.length === 0 ? undefined : unconfirmed;
      },
      () => bytes.length * UNPACKED_GROWTH,
    );
}

/** How many times as much memory as their compressed bytes rejected records and their dead letters take, generously. */
const UNPACKED_GROWTH = 32;
