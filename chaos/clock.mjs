/**
 * Preloaded into a daemon (`node --import`), it sets its clock: `Date` is ahead by as many milliseconds as the file says
 * that KTB_CHAOS_CLOCK names, or behind by a negative number. The file is read again all the time. Timers and
 * `performance.now` go on as before, as they do when a person sets the clock of a machine.
 */
import { readFileSync } from 'node:fs';

const READ_EVERY_MS = 200;
const RealDate = Date;
const file = process.env.KTB_CHAOS_CLOCK;
let shiftMs = 0;

function read() {
  try {
    shiftMs = Number(readFileSync(file, 'utf8')) || 0;
  } catch {
    shiftMs = 0; // The run is over.
  }
}

if (file !== undefined) {
  read();
  setInterval(read, READ_EVERY_MS).unref();
  const now = () => RealDate.now() + shiftMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
    apply: () => new RealDate(now()).toString(),
    get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
  });
}
