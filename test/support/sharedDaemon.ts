import { afterAll, beforeAll } from 'vitest';
import { CLI, Daemon } from './daemon.js';
import { Fixture, type FixtureOptions } from './fixture.js';
import type { StackAddresses } from './sharedStack.js';
import { together } from './together.js';

/** One daemon, and the fixtures of the tests that share it. */
export interface SharedDaemon<Name extends string> {
  daemon(): Daemon;
  fixture(name: Name): Fixture;
}

/**
 * One daemon for tests of a file that leave it as it is: each has a pipeline of its own in it. To start a daemon takes two and a half seconds
 * of processor time. All is closed after the last test of the file.
 *
 * @param configOf what the daemon knows of a fixture
 */
export function useSharedDaemon<Name extends string>(
  stack: () => StackAddresses,
  options: Readonly<Record<Name, FixtureOptions>>,
  configOf: (fixture: Fixture, name: Name) => string = (fixture) => fixture.config(),
): SharedDaemon<Name> {
  const fixtures = new Map<Name, Fixture>();
  const ends: (() => Promise<void>)[] = [];
  const atEnd = (end: () => Promise<void>): void => void ends.push(end);
  let daemon: Daemon | undefined;
  beforeAll(async () => {
    const made = Object.entries<FixtureOptions>(options).map(async ([name, ofTest]) =>
      fixtures.set(name as Name, await Fixture.create(stack(), ofTest, atEnd)),
    );
    await Promise.all(made);
    const configs = Array.from(fixtures, ([name, fixture]) => configOf(fixture, name));
    daemon = await Daemon.start(together(configs), [], CLI, atEnd);
  });
  afterAll(() => Promise.all(ends.map((end) => end())));
  return {
    daemon: () => {
      if (daemon === undefined) throw new Error('the daemon has not been started yet');
      return daemon;
    },
    fixture: (name) => {
      const fixture = fixtures.get(name);
      if (fixture === undefined) throw new Error(`the fixture ${name} has not been made yet`);
      return fixture;
    },
  };
}
