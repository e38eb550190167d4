import { createRequire } from 'node:module';
import { ApplicationFailure } from '@temporalio/common';
import { PURPOSES } from '../protocol/encryption.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import { ACTIVITY_CONVERTER } from '../temporal/encryption.js';

type Activity = (...args: never[]) => Promise<unknown>;

/**
 * Activities that refuse arguments which did not come encrypted from a process of ktb. Otherwise whoever may start
 * workflows could schedule them on our task queue, with rows. A retry helps once the worker takes others again.
 *
 * @param refused called for each refusal
 */
export function encryptedActivities(
  activities: FlushActivities,
  refused: () => void,
  purposeOf: (value: object) => string | undefined = purposeOfArgument(),
): FlushActivities {
  const guarded = Object.entries<Activity>({ ...activities }).map(([name, activity]): [string, Activity] => [
    name,
    (...args: never[]) => {
      // Texts cannot be noted.
      const objects = args.filter((arg: unknown) => typeof arg === 'object' && arg !== null);
      const areOurs = objects.every((arg) => purposeOf(arg) === PURPOSES.own);
      if (areOurs && (objects.length > 0 || OF_TEXTS.includes(name))) return activity(...args);
      refused();
      throw ApplicationFailure.create({ type: 'NotEncrypted', message: `${name} ${NOT_ENCRYPTED}` });
    },
  ]);
  return Object.fromEntries(guarded) as unknown as FlushActivities;
}

/** Those that get nothing but texts: what they read is encrypted for the workflow that asks. They write nothing. */
const OF_TEXTS: readonly string[] = ['readInheritance'] satisfies (keyof FlushActivities)[];

const NOT_ENCRYPTED =
  'was scheduled with arguments that are not encrypted, or not as arguments, and temporal.encryption.required is set. If it was scheduled before it was: set required: false until it is done. If somebody else has scheduled it: terminate its workflow';

/** The SDK loads the converter in the same way, so it is the same instance. */
function purposeOfArgument(): (value: object) => string | undefined {
  const load = createRequire(import.meta.url);
  return (load(ACTIVITY_CONVERTER) as { readonly purposeOf: (value: object) => string | undefined }).purposeOf;
}
