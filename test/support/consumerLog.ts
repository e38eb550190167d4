import { expect } from 'vitest';
import type { Daemon, LogLine } from './daemon.js';
import type { Fixture } from './fixture.js';

/** What the log says of the consumer of a pipeline. */
export function toldOf(daemon: Daemon, { name }: Fixture): LogLine[] {
  return daemon.logs().filter(({ what }) => what === `consumer of ${name}`);
}

/** Why it failed, each cause once, however often it did. */
export function expectCausesToldOnce(daemon: Daemon, fixture: Fixture): void {
  const told = toldOf(daemon, fixture).map(({ message }) => message);
  expect(told).toEqual([...new Set(told)]);
}
