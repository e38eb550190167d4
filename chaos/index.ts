import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import Table from 'cli-table3';
import { Command, InvalidArgumentError } from 'commander';
import { dataDirectory } from '../bench/data.js';
import { startStack } from '../stack/index.js';
import { pythonWith } from '../stack/python.js';
import { VERSIONS } from '../stack/versions.js';
import type { Verdict } from './checks.js';
import { FAULT_KINDS, type FaultKind } from './plan.js';
import { appendResult, brokenOff, commitNow, whyNotOfCommit, type ChaosResult } from './result.js';
import { runChaos, type Outcome, type RunOptions } from './run.js';

/**
 * `npm run chaos`: real Kafka (three brokers), Temporal and ClickHouse, daemons as users run them, load, and faults that a
 * seed draws. Then everything is healed, and what is there is judged by readers that share no code with the product. Ends
 * with 1 if something is wrong, and keeps all that was seen.
 */
interface Options extends Omit<RunOptions, 'faults' | 'gapSeconds' | 'soak'> {
  readonly rate?: number;
  readonly gap: number;
  readonly soak?: true;
  readonly keep?: true;
  readonly result?: string;
  readonly data?: string;
}

const ROOT = resolve(import.meta.dirname, '..');
const VIOLATIONS_SHOWN = 10;
/** Of more records the data do not fit into the memory of a usual machine. */
const RECORDS_IN_MEMORY_MAX = 2_000_000;

const options = new Command('chaos')
  .option('--seed <number>', 'draws the faults; the same one draws the same', Number, Date.now() % 1_000_000)
  .option('--minutes <minutes>', 'how long records are produced and faults are done', Number, 5)
  .option('--records <count>', 'records that are produced', Number, 100_000)
  .option('--rate <records>', 'records a second, in the place of --records', Number)
  .option('--gap <seconds>', 'between the begins of two faults, on average', Number, 5)
  .option('--together <faults>', 'after so many faults wait until all that is due is acknowledged', countOf, 8)
  .option('--soak', 'no faults, and nothing may grow: memory, open files, cached workflows, histories')
  .option('--slowness <factor>', 'allow so many times as long for the drain, on a busy machine', Number, 1)
  .option('--cli <file>', 'dist/cli.js of another build, to be tested in the place of this one', (file) =>
    resolve(file),
  )
  .option('--only <kind>', 'only faults of this kind; may be repeated', kindsOf, [])
  .option('--keep', 'keep logs, journal and all that was read also if nothing is wrong')
  .option('--result <file>', 'append the figures to this file, for `npm run docs`')
  .option(
    '--data <directory>',
    'where the parts keep their data; disk: as temporary files (default: in memory, if there are few)',
  )
  .parse()
  .opts<Options>();

const report = ({ part, step, state }: { part: string; step: string; state: string }): void => {
  if (state === 'started') console.error(`[${part}] ${step}`);
};
const problem = options.result === undefined ? null : whyNotOfCommit(ROOT, options.cli);
if (problem !== null) {
  console.error(problem);
  process.exit(1);
}
// Before the run: the working copy may be another one at its end.
const commit = commitNow();
const python = await pythonWith('confluent-kafka', VERSIONS.confluentKafka, report);
const { minutes, rate, gap, soak = false } = options;
const records = rate === undefined ? options.records : Math.round(rate * minutes * 60);
const dataIn = await dataDirectory(options.data ?? (records > RECORDS_IN_MEMORY_MAX ? 'disk' : undefined));
const stack = await startStack({
  brokers: 3,
  flavour: 'native',
  ...(dataIn === undefined ? {} : { dataIn }),
  onProgress: report,
});
try {
  const outcome = await runChaos(stack, python, { ...options, records, faults: !soak, gapSeconds: gap, soak }).catch(
    (error: unknown) => {
      // Else only runs that came to their end would be known.
      if (options.result !== undefined) appendResult(options.result, brokenOff(ofRun(), error));
      throw error;
    },
  );
  show(outcome);
  if (options.result !== undefined) appendResult(options.result, resultOf(outcome));
} finally {
  await stack.stop();
}

function countOf(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw new InvalidArgumentError('It must be a whole number from 1 on.');
  return count;
}

/** Adds a kind to those that were given before. */
function kindsOf(name: string, before: FaultKind[]): FaultKind[] {
  const kind = FAULT_KINDS.find((each) => each === name);
  if (kind === undefined) throw new InvalidArgumentError(`There are: ${FAULT_KINDS.join(', ')}.`);
  return [...before, kind];
}

function show({ verdicts, observed, faults, judging, directory }: Outcome): void {
  const table = new Table({ head: ['check', 'looked at', 'wrong', ''], style: { head: [], border: [] } });
  for (const { name, checked, wrong, note = '' } of verdicts)
    table.push([name, checked.toLocaleString('en'), wrongText(checked, wrong), note]);
  console.log(table.toString());
  const failed = verdicts.filter(({ wrong }) => wrong > 0);
  for (const verdict of failed) console.log(excerptOf(verdict));
  const count = (value: number): string => value.toLocaleString('en');
  const { records, rows, letters, acks } = observed.ledger.counts;
  const missed = faults.filter(({ hits }) => hits === 0);
  console.log(
    `${count(faults.length - missed.length)} faults, and ${count(missed.length)} that hit nothing. ` +
      `${count(records)} records: ${count(rows)} rows, ${count(letters)} dead letters, ${count(acks)} acknowledgements. ` +
      `Judged in ${judging.seconds.toFixed(0)} s, with ${count(judging.mebibytes)} MiB.`,
  );
  if (missed.length > 0) console.log(`Hit nothing: ${missed.map(({ text }) => text).join('; ')}.`);
  if (failed.length === 0) {
    console.log(`Passed: seed ${options.seed}.`);
    if (options.keep !== true) rmSync(directory, { recursive: true });
  } else {
    console.log(`Failed: seed ${options.seed}.`);
    process.exitCode = 1;
  }
  if (failed.length > 0 || options.keep === true) console.log(`Logs, journal and timeline.svg are in ${directory}`);
}

/** A check of what only some faults bring has passed nothing if they were not done. */
function wrongText(checked: number, wrong: number): string {
  if (wrong > 0) return wrong.toLocaleString('en');
  return checked === 0 ? 'not judged' : 'none';
}

function excerptOf({ name, wrong, violations }: Verdict): string {
  const shown = violations.slice(0, VIOLATIONS_SHOWN).map((violation) => `  ${violation}`);
  const more = wrong - shown.length;
  return [`${name}:`, ...shown, ...(more > 0 ? [`  and ${more} more`] : [])].join('\n');
}

/** Null if one never ended. */
function longestOf(times: Outcome['observed']['quietTimes']): number | null {
  if (times.some(({ tookMs }) => tookMs === undefined)) return null;
  return times.reduce((longest, { tookMs = 0 }) => Math.max(longest, tookMs), 0) / 1_000;
}

/** What is known of a run before it begins. */
function ofRun(): Pick<ChaosResult, 'seed' | 'commit' | 'date' | 'minutes' | 'slowness' | 'soak'> {
  return {
    seed: options.seed,
    commit,
    date: new Date().toISOString().slice(0, 10),
    minutes: options.minutes,
    slowness: options.slowness,
    ...(options.soak === true ? { soak: true } : {}),
  };
}

function resultOf({ observed, verdicts, faults }: Outcome): ChaosResult {
  const { counts } = observed.ledger;
  const counted = (list: Outcome['faults']): Record<string, number> => {
    const kinds = [...new Set(list.map(({ kind }) => kind))].sort();
    return Object.fromEntries(kinds.map((kind) => [kind, list.filter((fault) => fault.kind === kind).length]));
  };
  const peakBytes = observed.samples.reduce((most, { bytes = 0 }) => Math.max(most, bytes), 0);
  return {
    ...ofRun(),
    records: counts.records,
    rows: counts.rows,
    deadLetters: counts.letters,
    acknowledgements: counts.acks,
    faults: counted(faults.filter(({ hits }) => hits > 0)),
    misses: counted(faults.filter(({ hits }) => hits === 0)),
    drainSeconds: observed.drainMs === undefined ? null : observed.drainMs / 1_000,
    peakMemoryMiB: Math.round(peakBytes / 1024 ** 2),
    ...(options.soak === true
      ? {}
      : {
          quietTimes: observed.quietTimes.length,
          longestQuietSeconds: longestOf(observed.quietTimes),
        }),
    violations: Object.fromEntries(verdicts.filter(({ wrong }) => wrong > 0).map(({ name, wrong }) => [name, wrong])),
  };
}
