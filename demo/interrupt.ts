/** A terminal's Ctrl-C can reach a process that npm started twice: from the terminal and from npm. */
const SAME_CTRL_C_MS = 500;
const LOOK_FOR_PARENT_EVERY_MS = 1_000;

/** What shells say of a process that Ctrl-C ended. */
export const EXIT_INTERRUPTED = 130;

/**
 * A signal that is aborted by the first Ctrl-C (or SIGTERM, SIGHUP). The second one ends the process at once; the
 * watchdogs of what it has started clean up then.
 */
export function listenForInterrupt(onFirst: () => void): AbortSignal {
  const interrupted = new AbortController();
  let firstAtMs = 0;
  const interrupt = (): void => {
    if (interrupted.signal.aborted) {
      if (performance.now() - firstAtMs > SAME_CTRL_C_MS) process.exit(EXIT_INTERRUPTED);
      return;
    }
    firstAtMs = performance.now();
    // First whatever redraws itself comes to rest, then something can be printed.
    interrupted.abort(new Error('interrupted'));
    onFirst();
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, interrupt);
  if (process.env['npm_lifecycle_event'] !== undefined) interruptWithParent(interrupt);
  return interrupted.signal;
}

/** npm hands a SIGTERM to the shell between it and this process, which ends without a word; nobody would ever stop this one. */
function interruptWithParent(interrupt: () => void): void {
  const { ppid } = process;
  const timer = setInterval(() => {
    if (process.ppid === ppid) return;
    clearInterval(timer);
    interrupt();
  }, LOOK_FOR_PARENT_EVERY_MS);
  timer.unref();
}
