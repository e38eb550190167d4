import { afterAll, beforeAll } from 'vitest';
import { startRegistry, type LocalRegistry } from '../../stack/native/registry.js';
import { Daemon } from './daemon.js';
import { Fixture, type FixtureOptions } from './fixture.js';
import type { StackAddresses } from './sharedStack.js';
import { FIRST_START_MS, reportSetUp } from './useStack.js';

/** A schema registry for the tests of a file, stopped after them. */
export function useRegistry(): () => LocalRegistry {
  let registry: LocalRegistry | undefined;
  beforeAll(async () => {
    registry = await startRegistry(reportSetUp);
  }, FIRST_START_MS);
  afterAll(() => registry?.stop());
  return () => {
    if (registry === undefined) throw new Error('the registry has not been started yet');
    return registry;
  };
}

/** Starts daemons whose pipeline reads values of this format, and collects their acknowledgements. */
export function decoding(
  format: 'avro' | 'protobuf',
  stack: () => StackAddresses,
  registry: () => LocalRegistry,
): (options: FixtureOptions) => Promise<readonly [Fixture, Daemon]> {
  return async (options) => {
    const config = { schemaRegistry: { url: registry().url, requestTimeout: '1s' } };
    const fixture = await Fixture.create(stack(), { ...options, config, pipeline: { format, ...options.pipeline } });
    await fixture.collectAcks();
    return [fixture, await Daemon.start(fixture.config())];
  };
}
