import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';
import type { BridgeResult } from './bridge.js';
import type { DataPlace } from './data.js';
import type { DrainResult } from './drain.js';
import type { Latency } from './latency.js';
import type { Restart } from './restarts.js';
import type { SweepPoint } from './sweep.js';

/** One drain of the comparison. */
export interface Drain extends DrainResult {
  readonly variant: string;
  /** Of the backlog. */
  readonly records: number;
  /** From 1. */
  readonly round: number;
  /** Of the bridge only. */
  readonly counts?: BridgeResult['counts'];
}

/** What one run of the benchmark has measured: the content of a file of `--json`. */
export interface Run {
  /** What made it. */
  readonly command: string;
  readonly commit: string;
  /** Day of the run, as 2026-01-31. */
  readonly date: string;
  readonly machine: {
    readonly processor: string;
    readonly cores: number;
    readonly memoryBytes: number;
    readonly node: string;
  };
  /** Where the parts of the stack had their data. */
  readonly data: DataPlace;
  readonly drains: readonly Drain[];
  readonly sweep: readonly SweepPoint[];
  readonly latencies: readonly Latency[];
  readonly restarts: readonly Restart[];
}

/** What describes a run, beside its figures. */
export function runFacts(): Pick<Run, 'command' | 'commit' | 'date' | 'machine'> {
  return {
    command: ['npm run bench', ...(process.argv.length > 2 ? ['--'] : []), ...process.argv.slice(2)].join(' '),
    commit: commit(),
    date: new Date().toISOString().slice(0, 10),
    machine: {
      processor: cpus()[0]?.model ?? 'unknown',
      cores: cpus().length,
      memoryBytes: totalmem(),
      node: process.version,
    },
  };
}

/** Of the working copy; `unknown` where git has none. */
function commit(): string {
  const git = (...args: string[]): string =>
    execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const isChanged = git('status', '--porcelain', '--', ':/src', ':/bench') !== '';
    return `${git('rev-parse', '--short=12', 'HEAD').trim()}${isChanged ? ', changed' : ''}`;
  } catch {
    return 'unknown'; // A copy without its history.
  }
}
