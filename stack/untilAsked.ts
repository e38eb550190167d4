/** For command lines that keep something up: whether a person or a program has asked this process to end. */
export interface Ending {
  /** Aborts what is still being started. */
  readonly signal: AbortSignal;
  /** Keeps the process alive until it is asked. */
  readonly asked: () => Promise<void>;
}

/** Waits for Ctrl-C and its like from now on. Further ones are ignored: what is up is being stopped then. */
export function untilAsked(): Ending {
  const givenUp = new AbortController();
  const asked = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.on(signal, () => {
        givenUp.abort(signal);
        resolve();
      });
  });
  return {
    signal: givenUp.signal,
    asked: async () => {
      // Nothing else keeps this process alive.
      const keepAlive = setInterval(() => undefined, 60_000);
      await asked;
      clearInterval(keepAlive);
    },
  };
}
