/** A look at a daemon, or at the open run of a batcher. */
export interface ProcessSample {
  readonly atMs: number;
  readonly name: string;
  /** Memory of a daemon. */
  readonly bytes?: number;
  /** Open files of a daemon, sockets included. */
  readonly handles?: number;
  /** Workflows that a daemon keeps in memory. */
  readonly cached?: number;
  /** Size of the history of a batcher's open run. */
  readonly historyBytes?: number;
}

type Measure = Exclude<keyof ProcessSample, 'atMs' | 'name'>;

const MIB = 1024 ** 2;
/** How much more the last quarter may have than the second one, as a share and beyond it. */
const ALLOWED: Readonly<Record<Measure, { readonly share: number; readonly more: number; readonly what: string }>> = {
  bytes: { share: 0.1, more: 24 * MIB, what: 'bytes of memory' },
  handles: { share: 0, more: 8, what: 'open files' },
  cached: { share: 0, more: 2, what: 'cached workflows' },
  // It grows to its mark and begins anew, so its highest values are compared.
  historyBytes: { share: 0.25, more: MIB / 2, what: 'bytes of history' },
};
/** In a quarter. With fewer nothing can be said. */
const SAMPLES_MIN = 5;

/**
 * Whether what was measured all along does not grow: the first quarter of a run is for its start, and the last one is
 * compared with the second one. Of memory and the like the median counts.
 */
export function flatness(samples: readonly ProcessSample[]): { checked: number; growing: string[] } {
  const growing: string[] = [];
  let checked = 0;
  for (const [name, own] of byName(samples)) {
    for (const measure of Object.keys(ALLOWED) as Measure[]) {
      const values = own.flatMap((sample) => sample[measure] ?? []);
      if (values.length === 0) continue;
      checked += values.length;
      const text = growth(name, measure, values);
      if (text !== undefined) growing.push(text);
    }
  }
  return { checked, growing };
}

function byName(samples: readonly ProcessSample[]): Map<string, ProcessSample[]> {
  const groups = new Map<string, ProcessSample[]>();
  for (const sample of samples) {
    const group = groups.get(sample.name);
    if (group === undefined) groups.set(sample.name, [sample]);
    else group.push(sample);
  }
  return groups;
}

function growth(name: string, measure: Measure, values: readonly number[]): string | undefined {
  const { share, more, what } = ALLOWED[measure];
  const quarter = Math.floor(values.length / 4);
  if (quarter < SAMPLES_MIN) return `${name}: only ${values.length} looks at ${what}`;
  const of = measure === 'historyBytes' ? highest : median;
  const before = of(values.slice(quarter, 2 * quarter));
  const after = of(values.slice(-quarter));
  if (after <= before * (1 + share) + more) return undefined;
  return `${name}: ${before.toLocaleString('en')} ${what}, then ${after.toLocaleString('en')}`;
}

function highest(values: readonly number[]): number {
  return Math.max(...values);
}

function median(values: readonly number[]): number {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}
