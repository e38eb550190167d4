import { existsSync, readFileSync } from 'node:fs';
import type { Stack } from '../stack/index.js';

/** CPU seconds by process; empty where the system does not tell (no /proc). */
export type CpuSeconds = Readonly<Record<string, number>>;

/** Clock ticks a second of /proc/PID/stat on Linux. */
const TICKS_PER_SECOND = 100;

/** What the processes of a stack, and the one under test, use between two moments. */
export class Usage {
  readonly #pids: Readonly<Record<string, readonly number[]>>;
  #before: CpuSeconds = {};

  constructor(stack: Stack, tested: number) {
    const { kafka, temporal, clickhouse } = stack.parts;
    this.#pids = {
      tested: [tested],
      kafka: kafka.flatMap(({ pids }) => pids),
      temporal: temporal.pids,
      clickhouse: clickhouse.pids,
    };
  }

  begin(): void {
    this.#before = this.#read();
  }

  /** CPU seconds since {@link begin} for a million records. */
  perMillion(records: number): CpuSeconds {
    const entries = Object.entries(this.#read()).map(([name, seconds]) => {
      return [name, ((seconds - (this.#before[name] ?? 0)) * 1_000_000) / records] as const;
    });
    return Object.fromEntries(entries);
  }

  #read(): CpuSeconds {
    const entries = Object.entries(this.#pids).map(([name, pids]) => {
      return [name, pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)] as const;
    });
    return Object.fromEntries(entries);
  }
}

/** Largest resident memory of a process so far; 0 where the system does not tell. */
export function memoryPeakBytes(pid: number): number {
  const file = `/proc/${pid}/status`;
  if (!existsSync(file)) return 0;
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(file, 'utf8'))?.[1] ?? 0) * 1024;
}

function cpuSeconds(pid: number): number {
  const file = `/proc/${pid}/stat`;
  if (!existsSync(file)) return 0;
  // The second field is the name in parentheses and may hold spaces; user and system time are the 12th and 13th behind it.
  const fields = readFileSync(file, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}
