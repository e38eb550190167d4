import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FAULT_KINDS } from '../chaos/plan.js';
import type { ChaosResult } from '../chaos/result.js';
import { markdown } from './benchmarks.js';

const RESULTS = join(import.meta.dirname, '../chaos/results');

/** What `npm run chaos -- --result chaos/results/NAME.json` has appended, file by file. */
export function chaosResults(): ChaosResult[] {
  if (!existsSync(RESULTS)) return [];
  return readdirSync(RESULTS)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .flatMap((name) => JSON.parse(readFileSync(join(RESULTS, name), 'utf8')) as ChaosResult[]);
}

/** The figures of docs/trust.md. */
export function trustReference(results: readonly ChaosResult[]): string {
  const total = (of: (result: ChaosResult) => number): string =>
    number(results.reduce((sum, each) => sum + of(each), 0));
  const sums = {
    runs: number(results.length),
    minutes: total(({ minutes }) => minutes),
    faults: total(faultsOf),
    'hit nothing': total(({ misses = {} }) => sumOf(misses)),
    records: total(({ records }) => records),
    rows: total(({ rows }) => rows),
    'dead letters': total(({ deadLetters }) => deadLetters),
    'violations found': total(violationsOf),
    'broke off': number(results.filter(({ brokeOff }) => brokeOff !== undefined).length),
  };
  return [
    '## All runs together',
    markdown({ head: Object.keys(sums), rows: [Object.values(sums)] }),
    '## Faults that were done',
    markdown({
      head: ['fault', 'times'],
      rows: FAULT_KINDS.toSorted().map((kind) => [kind, total(({ faults }) => faults[kind] ?? 0)]),
    }),
    ...neverHit(results),
    '## Each run',
    markdown({
      head: [
        'seed',
        'commit',
        'date',
        'minutes',
        'slowness',
        'faults',
        'records',
        'times between faults',
        'longest until acknowledged (s)',
        'acknowledged after (s)',
        'allowed on a quiet machine',
        'memory (MiB)',
        'violations',
      ],
      rows: results.map((result) => [
        String(result.seed),
        result.commit,
        result.date,
        number(result.minutes),
        result.slowness === undefined ? 'not noted' : number(result.slowness),
        result.soak === true ? 'soak' : number(faultsOf(result)),
        number(result.records),
        number(result.quietTimes ?? 0),
        result.longestQuietSeconds === undefined ? '' : (result.longestQuietSeconds?.toFixed(1) ?? 'never'),
        result.drainSeconds === null ? 'never' : result.drainSeconds.toFixed(1),
        // As if all records were still due at the end of the faults.
        `at most ${number(Math.round(60 + result.records / 10_000))}`,
        number(result.peakMemoryMiB),
        foundBy(result),
      ]),
    }),
    '',
  ].join('\n\n');
}

/** A row with 0 is easily overlooked, and a check of what only such a fault brings has judged nothing. */
function neverHit(results: readonly ChaosResult[]): string[] {
  const kinds = FAULT_KINDS.filter((kind) => results.every(({ faults }) => (faults[kind] ?? 0) === 0)).toSorted();
  if (kinds.length === 0) return [];
  return [
    `In these runs **no fault of these kinds has hit anything**, so nothing is known of them here: ${kinds.join(', ')}.`,
  ];
}

function foundBy({ violations, brokeOff }: ChaosResult): string {
  // A cell of a table ends at this sign.
  if (brokeOff !== undefined) return `broke off, nothing was judged: ${brokeOff.replaceAll('|', '/')}`;
  const texts = Object.entries(violations).map(([name, count]) => `${name}: ${count}`);
  return texts.length === 0 ? 'none' : texts.join('; ');
}

function faultsOf({ faults }: ChaosResult): number {
  return sumOf(faults);
}

function violationsOf({ violations }: ChaosResult): number {
  return sumOf(violations);
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

function number(value: number): string {
  return value.toLocaleString('en');
}
