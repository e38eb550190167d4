import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The figures of one run: an element of a file in `results/`. */
export interface ChaosResult {
  readonly seed: number;
  readonly commit: string;
  /** As 2026-01-31. */
  readonly date: string;
  readonly minutes: number;
  /** Factor for the time of the drain. Results of before it was noted have none. */
  readonly slowness?: number;
  /** Without faults, to see that nothing grows. */
  readonly soak?: boolean;
  /** In the log, committed. */
  readonly records: number;
  readonly rows: number;
  readonly deadLetters: number;
  readonly acknowledgements: number;
  /** How often each kind of fault was done, and has hit something. Results without `misses` count all. */
  readonly faults: Readonly<Record<string, number>>;
  /** How often each kind was done for nothing. */
  readonly misses?: Readonly<Record<string, number>>;
  /** Times between faults in which all that was due had to be acknowledged. Results of before there were any have none. */
  readonly quietTimes?: number;
  /** Until it was; null if it never was. */
  readonly longestQuietSeconds?: number | null;
  readonly drainSeconds: number | null;
  readonly peakMemoryMiB: number;
  /** By the name of the check; only those that found something. */
  readonly violations: Readonly<Record<string, number>>;
  /** Why it did not come to its end. Then nothing was judged, and nothing is known of what it has done. */
  readonly brokeOff?: string;
}

/** Of a run that broke off. */
export function brokenOff(
  run: Pick<ChaosResult, 'seed' | 'commit' | 'date' | 'minutes' | 'slowness' | 'soak'>,
  error: unknown,
): ChaosResult {
  // Of a long text, such as what a client has printed, the begin says enough.
  const [line = ''] = String(error).split('\n');
  return {
    ...run,
    records: 0,
    rows: 0,
    deadLetters: 0,
    acknowledgements: 0,
    faults: {},
    drainSeconds: null,
    peakMemoryMiB: 0,
    violations: {},
    brokeOff: line.slice(0, REASON_LENGTH_MAX),
  };
}

const REASON_LENGTH_MAX = 200;

/** Adds a result to a file, which is made if it is not there. */
export function appendResult(file: string, result: ChaosResult): void {
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as ChaosResult[]) : [];
  writeFileSync(file, `${JSON.stringify([...before, result], null, 2)}\n`);
}

/**
 * Why a run would say nothing about the commit that its result names; null if it would. Another build is not of that
 * commit, nor is one from before a change of the sources.
 *
 * @param root of the working copy
 */
export function whyNotOfCommit(root: string, cli: string | undefined): string | null {
  if (cli !== undefined) return '--result is of this build: leave --cli out';
  const built = statSync(join(root, 'dist/cli.js'), { throwIfNoEntry: false })?.mtimeMs;
  if (built === undefined) return 'dist/cli.js is missing: npm run build';
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join('src', name));
  const newer = sources.find((file) => statSync(join(root, file)).mtimeMs > built);
  return newer === undefined ? null : `dist/cli.js is older than ${newer}: npm run build`;
}

/** Of the working copy, what runs and what judges; `unknown` if git has none. */
export function commitNow(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    // Each result changes the results.
    const judged = [':/src', ':/chaos', ':/stack', ':(top,exclude)chaos/results'];
    const isChanged = git('status', '--porcelain', '--', ...judged) !== '';
    return `${git('rev-parse', '--short=12', 'HEAD').trim()}${isChanged ? ', changed' : ''}`;
  } catch {
    return 'unknown'; // A copy without its history.
  }
}
