import { existsSync, readFileSync } from 'node:fs';
import type { Stack } from '../stack/index.js';

/** CPU seconds by process; zeros where the system does not tell (no /proc). */
export type CpuSeconds = Readonly<Record<string, number>>;

/** Clock ticks a second of /proc/PID/stat on Linux. */
const TICKS_PER_SECOND = 100;

/** What the processes of a stack, and those under test, use between two moments. */
export class Usage {
  readonly #tested: readonly number[];
  readonly #pids: Readonly<Record<string, readonly number[]>>;
  #before: CpuSeconds = {};
  #mainThreadBefore = 0;

  constructor(stack: Stack, tested: readonly number[]) {
    const { kafka, temporal, clickhouse } = stack.parts;
    this.#tested = tested;
    this.#pids = {
      tested,
      kafka: kafka.flatMap(({ pids }) => pids),
      temporal: temporal.pids,
      clickhouse: clickhouse.pids,
    };
  }

  begin(): void {
    this.#before = this.#read();
    this.#mainThreadBefore = this.#readMainThreads();
  }

  /** CPU seconds since {@link begin} for a million records. */
  perMillion(records: number): CpuSeconds {
    const entries = Object.entries(this.#read()).map(([name, seconds]) => {
      return [name, ((seconds - (this.#before[name] ?? 0)) * 1_000_000) / records] as const;
    });
    return Object.fromEntries(entries);
  }

  /** The same of the main threads of what is tested. */
  mainThreadPerMillion(records: number): number {
    return ((this.#readMainThreads() - this.#mainThreadBefore) * 1_000_000) / records;
  }

  #read(): CpuSeconds {
    const entries = Object.entries(this.#pids).map(([name, pids]) => {
      return [name, pids.reduce((sum, pid) => sum + cpuSeconds(`/proc/${pid}/stat`), 0)] as const;
    });
    return Object.fromEntries(entries);
  }

  #readMainThreads(): number {
    return this.#tested.reduce((sum, pid) => sum + cpuSeconds(`/proc/${pid}/task/${pid}/stat`), 0);
  }
}

/** Largest resident memory of processes so far, summed up; 0 where the system does not tell. */
export function memoryPeakBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const file = `/proc/${pid}/status`;
    if (!existsSync(file)) return sum;
    return sum + Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(file, 'utf8'))?.[1] ?? 0) * 1024;
  }, 0);
}

function cpuSeconds(file: string): number {
  if (!existsSync(file)) return 0;
  // The second field is the name in parentheses and may hold spaces; user and system time are the 12th and 13th behind it.
  const fields = readFileSync(file, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
