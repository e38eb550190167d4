import { expect, it } from 'vitest';
import { temporalArguments } from '../../../stack/temporalArguments.js';

const PLACE = { ip: '127.0.0.1', port: 7233, uiPort: 8233, databaseFile: '/data/temporal.db' };

/** Values of the dynamic configuration by key. */
function settingsOf(args: readonly string[]): Record<string, unknown> {
  const pairs = args.flatMap((arg, index) => (arg === '--dynamic-config-value' ? [args[index + 1]!.split('=')] : []));
  return Object.fromEntries(pairs.map(([key = '', value = '']) => [key, JSON.parse(value)]));
}

it("settings of the server are the stack's own, and those of the caller win", () => {
  const eager = 'system.enableActivityEagerExecution';
  expect(settingsOf(temporalArguments(PLACE, {}))).toMatchObject({ [eager]: true, 'frontend.namespaceRPS': 100_000 });
  const changed = { temporalDynamicConfig: { [eager]: false, 'history.timerProcessorMaxTimeShift': '10ms' } };
  expect(settingsOf(temporalArguments(PLACE, changed))).toMatchObject({
    'frontend.namespaceRPS': 100_000,
    ...changed.temporalDynamicConfig,
  });
});
