import { expect, it } from 'vitest';
import { configJsonSchema, configReference } from '../../../src/config/reference.js';

/** The row of a key: its default and what it is for. */
function rowOf(key: string): string | undefined {
  return configReference()
    .split('\n')
    .find((line) => line.startsWith(`| \`${key}\` |`));
}

it('a key that takes a word or an object is in the reference, and not only the members of the object', () => {
  expect(rowOf('pipelines.<name>.unknownFields')).toContain('| `ignore` |');
  expect(rowOf('pipelines.<name>.unknownFields.into')).toContain('| required |');
});

it('a group that only has members is not in the reference', () => {
  expect(rowOf('pipelines.<name>.batch.maxDelay')).toBeDefined();
  expect(rowOf('pipelines.<name>.batch')).toBeUndefined();
});

it.each([
  ['pipelines.<name>.signal.linger', 'From 0ms to 10s.'],
  ['pipelines.<name>.batch.maxBytes', 'From 1KiB to 64MiB.'],
  ['pipelines.<name>.batchers', 'From 1 to 1,024.'],
  ['pipelines.<name>.insert.retryFor', 'From 1m to 365d, or forever.'],
])('the reference says the bounds of %s', (key, bounds) => {
  expect(rowOf(key)).toContain(`${bounds} |`);
});

it('the JSON Schema says bounds in descriptions, with no keyword that an editor does not know', () => {
  const linger = configJsonSchema().properties?.['shutdown']?.properties?.['deadline'];
  expect(linger?.description).toMatch(/ From 1s to 10m\.$/);
  expect(linger).not.toHaveProperty('bounds');
});
