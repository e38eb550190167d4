import type { WorkflowInterceptors } from '@temporalio/workflow';

/** Names that begin so are Temporal's own (`TEMPORAL_RESERVED_PREFIX` of the SDK). */
const RESERVED = '__temporal_';
const ESCAPE = 'reserved:';

/**
 * The SDK fails the workflow task over a signal whose name begins with `__temporal_` where there is only a default handler
 * for it, and refuses a handler of its own for it; so a single signal of a stranger would stop a batcher for ever. Under
 * another name it comes to the default handler as any other does: in its order, counted, and put on the dead-letter topic.
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
