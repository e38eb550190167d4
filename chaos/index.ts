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
import { appendResult, commitNow, whyNotOfCommit, type ChaosResult } from './result.js';
import { runChaos, type Outcome, type RunOptions } from './run.js';

/**
 * `npm run chaos`: real Kafka (three brokers), Temporal and ClickHouse, daemons as users run them, load, and faults that a
 * seed draws. Then everything is healed, and what is there is judged by readers that share no code with the product. Ends
 * with 1 if something is wrong, and keeps all that was seen.
 */
interface Options extends RunOptions {
  readonly keep?: true;
  readonly result?: string;
  readonly data?: string;
}

const ROOT = resolve(import.meta.dirname, '..');
const VIOLATIONS_SHOWN = 10;

const options = new Command('chaos')
  .option('--seed <number>', 'draws the faults; the same one draws the same', Number, Date.now() % 1_000_000)
  .option('--minutes <minutes>', 'how long records are produced and faults are done', Number, 5)
  .option('--records <count>', 'records that are produced', Number, 100_000)
  .option('--slowness <factor>', 'allow so many times as long for the drain, on a busy machine', Number, 1)
  .option('--cli <file>', 'dist/cli.js of another build, to be tested in the place of this one', (file) =>
    resolve(file),
  )
  .option('--only <kind>', 'only faults of this kind; may be repeated', kindsOf, [])
  .option('--keep', 'keep logs, journal and all that was read also if nothing is wrong')
  .option('--result <file>', 'append the figures to this file, for `npm run docs`')
  .option('--data <directory>', 'where the parts keep their data; disk: as temporary files (default: in memory)')
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
const dataIn = await dataDirectory(options.data);
const stack = await startStack({
  brokers: 3,
  flavour: 'native',
  ...(dataIn === undefined ? {} : { dataIn }),
  onProgress: report,
});
try {
  const outcome = await runChaos(stack, python, options);
  show(outcome);
  if (options.result !== undefined) appendResult(options.result, resultOf(outcome));
} finally {
  await stack.stop();
}

/** Adds a kind to those that were given before. */
function kindsOf(name: string, before: FaultKind[]): FaultKind[] {
  const kind = FAULT_KINDS.find((each) => each === name);
  if (kind === undefined) throw new InvalidArgumentError(`There are: ${FAULT_KINDS.join(', ')}.`);
  return [...before, kind];
}

function show({ verdicts, observed, faults, directory }: Outcome): void {
  const table = new Table({ head: ['check', 'looked at', 'wrong'], style: { head: [], border: [] } });
  for (const { name, checked, violations } of verdicts)
    table.push([name, checked.toLocaleString('en'), violations.length === 0 ? 'none' : violations.length]);
  console.log(table.toString());
  const wrong = verdicts.filter(({ violations }) => violations.length > 0);
  for (const verdict of wrong) console.log(excerptOf(verdict));
  const { input, rows, letters, acks } = observed;
  const count = (list: readonly unknown[]): string => list.length.toLocaleString('en');
  console.log(
    `${count(faults)} faults, ${count(input)} records: ${count(rows)} rows, ${count(letters)} dead letters, ${count(acks)} acknowledgements.`,
  );
  if (wrong.length === 0) {
    console.log(`Passed: seed ${options.seed}.`);
    if (options.keep !== true) rmSync(directory, { recursive: true });
  } else {
    console.log(`Failed: seed ${options.seed}.`);
    process.exitCode = 1;
  }
  if (wrong.length > 0 || options.keep === true) console.log(`Logs, journal and timeline.svg are in ${directory}`);
}

function excerptOf({ name, violations }: Verdict): string {
  const more = violations.length - VIOLATIONS_SHOWN;
  const lines = violations.slice(0, VIOLATIONS_SHOWN).map((violation) => `  ${violation}`);
  return [`${name}:`, ...lines, ...(more > 0 ? [`  and ${more} more`] : [])].join('\n');
}

function resultOf({ observed, verdicts, faults }: Outcome): ChaosResult {
  const kinds = [...new Set(faults.map(({ kind }) => kind))].sort();
  return {
    seed: options.seed,
    commit,
    date: new Date().toISOString().slice(0, 10),
    minutes: options.minutes,
    slowness: options.slowness,
    records: observed.input.length,
    rows: observed.rows.length,
    deadLetters: observed.letters.length,
    acknowledgements: observed.acks.length,
    faults: Object.fromEntries(kinds.map((kind) => [kind, faults.filter((fault) => fault.kind === kind).length])),
    drainSeconds: observed.drainMs === undefined ? null : observed.drainMs / 1_000,
    peakMemoryMiB: Math.round(Math.max(...Object.values(observed.peakMemory)) / 1024 ** 2),
    violations: Object.fromEntries(
      verdicts
        .filter(({ violations }) => violations.length > 0)
        .map(({ name, violations }) => [name, violations.length]),
    ),
  };
}
