import { Command } from 'commander';
import { startStack } from '../stack/index.js';
import { Backlog } from './backlog.js';
import { drainByBridge } from './bridge.js';
import { drainByFloor } from './floor.js';
import { report, type Drain } from './report.js';

/**
 * `npm run bench`: how fast a backlog is drained, end to end with acknowledgements, by the bridge; beside it, in the same
 * run and in turns, by the bridge with one record a signal, and by the floor: the same consumer, decoding, inserting and
 * acknowledging in one process without Temporal in between. Figures of one run are comparable with each other, not with
 * another machine's.
 */
const { rounds, records, single, svg } = new Command('bench')
  .option('--rounds <count>', 'rounds of all three', Number, 3)
  .option('--records <count>', 'records of the backlog', Number, 400_000)
  .option('--single <count>', 'records of the backlog for one record a signal', Number, 4_000)
  .option('--svg <file>', 'write a chart of the medians')
  .parse()
  .opts<{ rounds: number; records: number; single: number; svg?: string }>();

const stack = await startStack({
  onProgress: ({ part, step, state }) => {
    if (state === 'started') console.error(`[${part}] ${step}`);
  },
});
try {
  const drains: Drain[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const variant of ['bridge', 'one record a signal', 'floor'] as const) {
      const backlog = await Backlog.produce(stack, variant === 'one record a signal' ? single : records);
      const drain = variant === 'floor' ? drainByFloor : drainByBridge;
      const result = await drain(stack, backlog, variant === 'one record a signal' ? 1 : undefined);
      await backlog.remove();
      drains.push({ variant, round, ...result });
      console.error(
        `round ${round}, ${variant}: ${Math.round(result.recordsPerSecond).toLocaleString('en')} records/s`,
      );
    }
  }
  report(drains, { rounds, records, single, svg });
} finally {
  await stack.stop();
}
