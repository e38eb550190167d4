import { decodeRejected } from '../codecs/rejectionCodec.js';
import { publishDeadLetters } from '../kafka/deadLetters.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import type { Answers } from './answers.js';
import type { Attempts } from './attempts.js';
import { divideRequests } from './confirmer.js';
import type { ActivityDependencies } from './dependencies.js';
import type { BatchMemos } from './memos.js';
import { timed } from './stages.js';

/** The activity that publishes dead letters and negative acknowledgements for what a flush has rejected. */
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
    attempts.admit('rejectRecords', spec, async (attempt) => {
      const { pipeline, destination } = spec;
      const rejected = decodeRejected(bytes);
      // A request's answer goes to whoever has it and can make another one: it needs no dead letter.
      const [requests, records] = divideRequests(rejected);
      // A stub's original went to the dead-letter topic before the stub was sent.
      const letters = records.filter(({ record }) => record.tooLargeBytes === undefined);
      const unconfirmed = await answers.confirm(spec, 'rejected', requests, attempt);
      await timed(metrics, pipeline, 'reject', async () => {
        if (letters.length > 0 && memos.of(attempt.activity).deadLetters === undefined) {
          attempt.mustBeAlive();
          await publishDeadLetters(publisher, destination.deadLetterTopic, pipeline, letters);
          for (const { rejection } of letters) metrics.deadLetters.inc({ pipeline, code: rejection.code });
          // Should the acknowledgements fail, a repetition need not publish them again.
          memos.note(attempt.activity, { deadLetters: true });
        }
        answers.mustBeAnswerable(attempt, 'rejected');
        await answers.acknowledge(spec, destination, 'rejected', records, attempt);
      });
      metrics.completed.inc({ pipeline, outcome: 'rejected' }, rejected.length);
      return unconfirmed.length === 0 ? undefined : unconfirmed;
    });
}
