/**
 * Runs command lines of the built `ktb`, one after the other, for commandHost.ts: what they load is loaded once.
 *
 * A command ends here when its process would end: when nothing is open any more. A NUL on both outputs follows what it has printed.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { hideHarmlessWarnings } from '../../dist/lib/nodeWarnings.js';
import { runCommandLine } from '../../dist/runCommandLine.js';

const IDLE_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 10;

hideHarmlessWarnings();
process.once('disconnect', () => process.exit());
process.on('message', (args) => void run(args));

async function run(args) {
  process.exitCode = 0;
  const code = await runCommandLine(args);
  const deadline = Date.now() + IDLE_WITHIN_MS;
  while (open().length > 0 && Date.now() < deadline) await sleep(LOOK_EVERY_MS);
  for (const output of [process.stdout, process.stderr]) output.write('\0');
  process.send({ code, open: open() });
}

/** What would keep a process alive, but for this one's own pipes. */
function open() {
  return process.getActiveResourcesInfo().filter((resource) => resource !== 'PipeWrap');
}
