/** kafkajs sets timers in the past. They fire at once, as they should, but Node 24 warns about them. */
const HARMLESS: ReadonlySet<string> = new Set(['TimeoutNegativeWarning']);

/** The source of warnings: the process. */
interface WarningSource {
  listeners(event: 'warning'): unknown[];
  off(event: 'warning', listener: (warning: Error) => void): unknown;
  on(event: 'warning', listener: (warning: Error) => void): unknown;
}

/** Hides those of Node's warnings that do not matter to users. All others are printed as before. */
export function hideHarmlessWarnings(source: WarningSource = process): void {
  for (const print of source.listeners('warning') as ((warning: Error) => void)[]) {
    source.off('warning', print);
    source.on('warning', (warning) => {
      if (!HARMLESS.has(warning.name)) print(warning);
    });
  }
}
