import type { WorkflowInterceptors } from '@temporalio/workflow';

/** Names that begin so are Temporal's own (`TEMPORAL_RESERVED_PREFIX` of the SDK). */
const RESERVED = '__temporal_';
const ESCAPE = 'reserved:';

/**
 * Renames signals whose names begin with `__temporal_`. The SDK fails the workflow task if only the default handler
 * could take such a signal, and allows no other handler for it; so one signal of a stranger would stop a batcher for
 * ever. Under another name it comes to the default handler like any other: in its order, counted, and put on the
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

/** What a signal was called when it was sent. */
export function sentName(name: string): string {
  return name.startsWith(ESCAPE + RESERVED) ? name.slice(ESCAPE.length) : name;
}
