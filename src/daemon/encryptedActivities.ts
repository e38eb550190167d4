import { createRequire } from 'node:module';
import { ApplicationFailure } from '@temporalio/common';
import { currentWorkflowId } from '../activities/attempt.js';
import { PURPOSES } from '../protocol/encryption.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import { ACTIVITY_CONVERTER } from '../temporal/encryption.js';

type Activity = (...args: never[]) => Promise<unknown>;

/**
 * Activities that refuse arguments which did not come encrypted from a process of ktb. Otherwise whoever may start
 * workflows could schedule them on our task queue, with rows. A retry helps once the worker takes others again.
 *
 * @param refused called for each refusal
 * @param workflow the id of the workflow that asks
 */
export function encryptedActivities(
  activities: FlushActivities,
  refused: () => void,
  workflow: () => string | undefined = currentWorkflowId,
  purposeOf: (value: object) => string | undefined = purposeOfArgument(),
): FlushActivities {
  const guarded = Object.entries<Activity>({ ...activities }).map(([name, activity]): [string, Activity] => [
    name,
    (...args: never[]) => {
      // Texts cannot be noted.
      const objects = args.filter((arg: unknown) => typeof arg === 'object' && arg !== null);
      const areOurs = objects.every((arg) => purposeOf(arg) === PURPOSES.own);
      const isOurs = objects.length > 0 ? areOurs : OF_TEXTS.includes(name) && args[0] === workflow();
      if (isOurs) return activity(...args);
      refused();
      throw ApplicationFailure.create({ type: 'NotEncrypted', message: `${name} ${NOT_ENCRYPTED}` });
    },
  ]);
  return Object.fromEntries(guarded) as unknown as FlushActivities;
}

/**
 * Those that get nothing but texts, the first of which is the id of the workflow that asks: what they read is encrypted for it.
 * They write nothing. What another workflow has left is not read for it.
 */
const OF_TEXTS: readonly string[] = ['readInheritance'] satisfies (keyof FlushActivities)[];

const NOT_ENCRYPTED =
  'was scheduled with arguments that are not encrypted, or not as arguments, and temporal.encryption.required is set. If it was scheduled before it was: set required: false until it is done. If somebody else has scheduled it: terminate its workflow';

/** The SDK loads the converter in the same way, so it is the same instance. */
function purposeOfArgument(): (value: object) => string | undefined {
  const load = createRequire(import.meta.url);
  return (load(ACTIVITY_CONVERTER) as { readonly purposeOf: (value: object) => string | undefined }).purposeOf;
}
