import type { WorkflowInterceptors } from '@temporalio/workflow';

/** Prefix of Temporal's own names (`TEMPORAL_RESERVED_PREFIX` of the SDK). */
const RESERVED = '__temporal_';
const ESCAPE = 'reserved:';

/**
 * Renames signals whose names begin with `__temporal_`. If only the default handler could take such a signal, the SDK
 * fails the workflow task, and it allows no other handler for these names. So one foreign signal would stop a batcher
 * for ever. With another name it reaches the default handler like any other signal: in order, counted, and put on the
 * dead-letter topic.
 */
export const interceptors = (): WorkflowInterceptors => ({
  internals: [
    {
      activate(input, next) {
        for (const { signalWorkflow: signal } of input.activation.jobs ?? [])
          if (signal?.signalName?.startsWith(RESERVED)) signal.signalName = ESCAPE + signal.signalName;
        next(input);
      },
    },
  ],
});

/** The name under which a signal was sent. */
export function sentName(name: string): string {
  return name.startsWith(ESCAPE + RESERVED) ? name.slice(ESCAPE.length) : name;
}
