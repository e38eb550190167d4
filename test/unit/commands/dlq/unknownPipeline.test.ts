import { expect, it } from 'vitest';
import { listDeadLetters } from '../../../../src/commands/dlq/listDeadLetters.js';
import { replayDeadLetters } from '../../../../src/commands/dlq/replayDeadLetters.js';
import { showDeadLetters } from '../../../../src/commands/dlq/showDeadLetters.js';
import { UsageError } from '../../../../src/lib/usageError.js';
import { unreachableConfig } from '../../../support/unreachableConfig.js';

const config = unreachableConfig(['orders']);

it.each([
  ['list', () => listDeadLetters('ordres', { config, json: false })],
  ['show', () => showDeadLetters('ordres', { config, code: [], record: [], limit: 1, values: false })],
  ['replay', () => replayDeadLetters('ordres', { config, code: [], record: [], all: true, dryRun: true })],
])('%s takes a pipeline that the configuration lacks for a mistake on the command line', async (_, command) => {
  const refused = new UsageError('the configuration has no pipeline ordres; it has orders');
  await expect(command()).rejects.toThrow(refused);
  await expect(command()).rejects.toBeInstanceOf(UsageError);
});
