import { publishForeignLetters } from '../kafka/deadLetters.js';
import { FOREIGN_SIGNAL } from '../protocol/deadLetter.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import type { Attempts } from './attempts.js';
import type { ActivityDependencies } from './dependencies.js';
import type { Unpacker } from './unpack.js';

/** The activity that publishes foreign signals, which no part of this product sends, as dead letters. */
export function publishForeignSignals({
  attempts,
  publisher,
  metrics,
  stateLog,
  unpacker,
}: Pick<ActivityDependencies, 'publisher' | 'metrics' | 'stateLog'> & {
  readonly attempts: Attempts;
  readonly unpacker: Unpacker;
}): FlushActivities['publishForeignSignals'] {
  return (batch) =>
    attempts.admit('publishForeignSignals', batch, async (attempt) => {
      const { pipeline, deadLetterTopic, signals } = batch;
      unpacker.mustBeSealed(batch);
      attempt.mustBeAlive();
      await publishForeignLetters(publisher, batch);
      metrics.deadLetters.inc({ pipeline, code: FOREIGN_SIGNAL }, signals.length);
      stateLog.problem(
        `foreign signals of ${pipeline}`,
        `Batchers of pipeline ${pipeline} get signals that no part of ktb sends; they are on ${deadLetterTopic}, with the code ${FOREIGN_SIGNAL}`,
      );
    });
}
