/** kafkajs sets timers in the past, which fire at once, as they should; Node 24 has a word for that. */
const HARMLESS: ReadonlySet<string> = new Set(['TimeoutNegativeWarning']);

/** What emits warnings: the process. */
interface WarningSource {
  listeners(event: 'warning'): unknown[];
  off(event: 'warning', listener: (warning: Error) => void): unknown;
  on(event: 'warning', listener: (warning: Error) => void): unknown;
}

/** Keeps Node's warnings that mean nothing to a user out of what the process says. All others are printed as ever. */
export function hideHarmlessWarnings(source: WarningSource = process): void {
  for (const print of source.listeners('warning') as ((warning: Error) => void)[]) {
    source.off('warning', print);
    source.on('warning', (warning) => {
      if (!HARMLESS.has(warning.name)) print(warning);
    });
  }
}
