/**
 * The demo: real Kafka, Temporal and ClickHouse, the bridge between them as its users run it, and two public data sets
 * that go through it. At the end every record is accounted for.
 */
import { Command, InvalidArgumentError } from 'commander';
import { StackError } from '../stack/index.js';
import { Cleanup } from './cleanup.js';
import { DemoError } from './demoError.js';
import { EXIT_INTERRUPTED, listenForInterrupt } from './interrupt.js';
import { paint } from './output.js';
import { run } from './run.js';

const RECORDS_MAX = 5_000_000;

const program = new Command('npm run demo --')
  .description(
    'Starts Kafka, Temporal and ClickHouse, sends flights and earthquakes through\n' +
      'the bridge, and counts: is every record one row and one acknowledgement?\n' +
      'Then stops everything. The first run on a machine downloads what it needs,\n' +
      'which takes minutes.',
  )
  .option('--records <count>', 'flights to send', toRecords, 200_000)
  .option('--keep', 'leave everything running at the end, until Ctrl-C')
  .addHelpText('after', '\nExit codes: 0 passed, 1 a record was lost or doubled, or something failed, 130 Ctrl-C.')
  .parse();

process.exit(await main({ keep: false, ...program.opts<{ records: number; keep?: true }>() }));

async function main(options: { records: number; keep: boolean }): Promise<number> {
  const signal = listenForInterrupt(() => {
    console.log('\nStopping everything; Ctrl-C again ends at once ...');
  });
  const cleanup = new Cleanup();
  let exitCode: number;
  try {
    exitCode = (await run({ ...options, signal, cleanup })) ? 0 : 1;
  } catch (error) {
    exitCode = signal.aborted ? EXIT_INTERRUPTED : 1;
    if (!signal.aborted) {
      const known = error instanceof DemoError || error instanceof StackError;
      console.error(`\n${paint('The demo failed.', 'red', 'bold')} ${known ? error.message : ''}`);
      if (!known) console.error(error);
    }
  }
  const problems = await cleanup.run();
  for (const problem of problems) console.error(problem);
  console.log(problems.length === 0 ? 'Everything is stopped and removed.' : 'The rest is stopped by force.');
  return exitCode;
}

function toRecords(text: string): number {
  const records = Number(text.replaceAll(/[_,]/g, ''));
  if (!Number.isInteger(records) || records < 1 || records > RECORDS_MAX)
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${RECORDS_MAX}.`);
  return records;
}
