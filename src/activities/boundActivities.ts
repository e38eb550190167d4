import { ApplicationFailure } from '@temporalio/common';
import { Context } from '@temporalio/activity';
import { bindNotes } from './boundNotes.js';
import { bindingOf, callOf, isRefused, notesPurpose, resultPurpose } from '../protocol/encryption.js';
import type { FlushActivities } from '../protocol/flushActivities.js';
import { intend, purposeOf } from '../temporal/activityPurposes.js';

type Activity = (...args: never[]) => Promise<unknown>;
type CurrentContext = () => Pick<Context, 'info'>;

interface Options {
  /** Whether arguments and notes are refused that did not come encrypted from a process of ktb. */
  readonly required: boolean;
  /** Called for each activity whose arguments or notes are refused. */
  readonly refused: (what: string) => void;
  readonly current?: CurrentContext;
}

/**
 * Activities that are bound to their call: the arguments have to be for one call of this activity, the notes of earlier
 * attempts too, and the result is encrypted for it. Otherwise whoever may start workflows could schedule them with rows,
 * and whoever may answer for an activity could take the result of another one.
 *
 * Arguments that are refused fail the attempt. A retry helps once the worker takes others again. Notes that are refused
 * are like none.
 */
export function boundActivities(
  activities: FlushActivities,
  { required, refused, current = () => Context.current() }: Options,
): FlushActivities {
  const bound = Object.entries<Activity>({ ...activities }).map(([name, activity]): [string, Activity] => [
    name,
    async (...args: never[]) => {
      const context = current();
      const call = callOf(name, args, purposeOf);
      if (args.some(isRefused) || (required && (call === null || !isOfWorkflow(name, args, context)))) {
        refused(`${name} was scheduled with arguments that are not encrypted for it`);
        throw ApplicationFailure.create({ type: 'NotEncrypted', message: `${name} ${NOT_ENCRYPTED}` });
      }
      bindNotesTo(call, context, required, () => refused(`${name} got notes of an attempt that are not its own`));
      const result = await activity(...args);
      // Nothing cannot be noted, so an empty list stands for it.
      return call === null ? result : intend(result ?? [], resultPurpose(call));
    },
  ]);
  return Object.fromEntries(bound) as unknown as FlushActivities;
}

/** @param call null: the arguments were not encrypted, so the notes need not be */
function bindNotesTo(call: string | null, context: ReturnType<CurrentContext>, required: boolean, refused: () => void) {
  const { heartbeatDetails: details } = context.info as { readonly heartbeatDetails: unknown };
  const purpose = call === null ? null : notesPurpose(call);
  const binding = isRefused(details) ? 'wrong' : bindingOf(purposeOf(details), purpose);
  const areRefused = details !== undefined && (binding === 'wrong' || (binding === 'plain' && required));
  if (areRefused) refused();
  bindNotes(context, {
    areRefused,
    bind: (notes) => (purpose === null ? notes : intend(notes, purpose)),
  });
}

/** What another workflow has left is not read for this one. Its id is a text, which cannot be noted as encrypted. */
function isOfWorkflow(name: string, args: readonly unknown[], { info }: ReturnType<CurrentContext>): boolean {
  return name !== READS_A_RUN || args[0] === info.workflowExecution?.workflowId;
}

const READS_A_RUN: keyof FlushActivities = 'readInheritance';

const NOT_ENCRYPTED =
  'was scheduled with arguments that are not encrypted for it, and temporal.encryption.required is set. If it was scheduled before it was: set required: false until it is done. If somebody else has scheduled it: terminate its workflow';
