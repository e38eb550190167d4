/**
 * Ends what a stack started when its parent process could not: standard input is a pipe that only the parent holds open,
 * so its end means that the parent is gone, whatever ended it (SIGKILL included).
 *
 * Lines on standard input: `+<pid>` and `-<pid>` add and remove a process group to kill, `+/path` and `-/path` a directory
 * to remove. At the end of input everything still listed is killed and removed. It runs in a session of its own and
 * ignores the signals that a terminal sends to the parent.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const WAIT_MAX_MS = 10_000;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) process.on(signal, () => undefined);

const groups = new Set();
const directories = new Set();

for await (const line of createInterface({ input: process.stdin })) {
  const subject = line.slice(1);
  if (subject.startsWith('/')) {
    if (line.startsWith('+')) directories.add(subject);
    else directories.delete(subject);
  } else {
    const pid = Number(subject);
    // A mistake here must never become kill(-1) or kill(0), which mean "everything".
    if (!Number.isSafeInteger(pid) || pid <= 1) continue;
    if (line.startsWith('+')) groups.add(pid);
    else groups.delete(pid);
  }
}

const deadline = Date.now() + WAIT_MAX_MS;
for (const pid of groups) signalGroup(pid, 'SIGKILL');
while ([...groups].some(isAlive) && Date.now() < deadline) await sleep(20);
for (const directory of directories) rmSync(directory, { recursive: true, force: true, maxRetries: 5 });

function signalGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
    return true;
  } catch (error) {
    // ESRCH: nobody left. EPERM (macOS): only zombies left.
    if (error.code === 'ESRCH' || error.code === 'EPERM') return false;
    throw error;
  }
}

/** A killed child of a killed parent stays as a zombie where process 1 does not reap; a zombie holds nothing. */
function isAlive(pid) {
  if (!signalGroup(pid, 0)) return false;
  const stat = `/proc/${pid}/stat`;
  if (!existsSync('/proc/self/stat')) return true;
  try {
    return !/^\d+ \(.*\) [ZX] /s.test(readFileSync(stat, 'utf8'));
  } catch {
    return false; // The entry went away between the two looks.
  }
}
