import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

/** The figures of one run: an element of a file in `results/`. */
export interface ChaosResult {
  readonly seed: number;
  readonly commit: string;
  /** As 2026-01-31. */
  readonly date: string;
  readonly minutes: number;
  /** In the log, committed. */
  readonly records: number;
  readonly rows: number;
  readonly deadLetters: number;
  readonly acknowledgements: number;
  /** How often each kind of fault was done. */
  readonly faults: Readonly<Record<string, number>>;
  readonly drainSeconds: number | null;
  readonly peakMemoryMiB: number;
  /** By the name of the check; only those that found something. */
  readonly violations: Readonly<Record<string, number>>;
}

/** Adds a result to a file, which is made if it is not there. */
export function appendResult(file: string, result: ChaosResult): void {
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as ChaosResult[]) : [];
  writeFileSync(file, `${JSON.stringify([...before, result], null, 2)}\n`);
}

/** Of the working copy; `unknown` if git has none. */
export function commitNow(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const isChanged = git('status', '--porcelain', '--', ':/src') !== '';
    return `${git('rev-parse', '--short=12', 'HEAD').trim()}${isChanged ? ', changed' : ''}`;
  } catch {
    return 'unknown'; // A copy without its history.
  }
}
