import { proxySinks } from '@temporalio/workflow';
import { argumentPurpose, intend, resultBinding } from '../protocol/encryption.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import type { BatcherSinks } from './sinks.js';

/*
 * Binds what an activity answers to its call. Whoever may write to the namespace can answer for an activity by its id,
 * without a worker. Without the binding, the encrypted result of another batch would do as an answer, and a batch would
 * count as inserted that never was.
 *
 * Nothing here awaits: one promise more could change the order of two commands, and a stored history would not replay.
 */

const sinks = proxySinks<BatcherSinks>();

/** What came back from an activity is not the result of this call. The activity has to be called again. */
class RefusedResultError extends Error {
  override readonly name = 'RefusedResultError';
}

/**
 * Activities whose arguments say for which call they are, if they get encrypted. It changes no command.
 *
 * @param call a text that no other call has
 * @param refusesPlain whether the batcher takes nothing unencrypted. Then they are encrypted although no key is active, so
 *   that the result is, too
 */
export function boundTo(call: string, activities: FlushActivities, refusesPlain: boolean): FlushActivities {
  return new Proxy(activities, {
    get: (target, name: keyof FlushActivities) => {
      const { [name]: activity } = target as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
      return (...args: unknown[]) => {
        for (const [index, arg] of args.entries())
          if (typeof arg === 'object' && arg !== null) intend(arg, argumentPurpose(name, index, call), refusesPlain);
        return activity?.(...args);
      };
    },
  });
}

/**
 * @param refusesPlain whether the batcher took nothing unencrypted when the activity was scheduled
 * @throws RefusedResultError
 */
export function mustBeResultOf(call: string, result: unknown, refusesPlain: boolean, pipeline: string): void {
  const binding = resultBinding(result, call);
  if (binding === 'right' || (binding === 'plain' && !refusesPlain)) return;
  sinks.batcher.refusedResult(pipeline);
  throw new RefusedResultError(
    binding === 'plain'
      ? 'the result of an activity is not encrypted for it, and temporal.encryption.required is set'
      : 'the result of an activity is encrypted, but not for it',
  );
}
