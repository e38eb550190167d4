import { readFileSync } from 'node:fs';
import { afterEach, expect, it, vi } from 'vitest';
import { printExample, printReference, printSchema, validateConfig } from '../../../src/commands/config.js';

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

/** What a command prints. */
function printed(command: () => void): string {
  let text = '';
  vi.spyOn(console, 'log').mockImplementation((line: string) => void (text += `${line}\n`));
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  command();
  vi.restoreAllMocks();
  return text;
}

it('the example is printed as it is, the schema as JSON, the docs with every key', () => {
  expect(printed(printExample)).toBe(readFileSync('examples/ktb.yaml', 'utf8'));
  expect(JSON.parse(printed(printSchema))).toHaveProperty('properties.pipelines');
  expect(printed(printReference)).toContain('`pipelines.<name>.batch.maxDelay`');
});

it('validate says with --json what is wrong, and ends with 2', () => {
  const validate = (config: string) => printed(() => validateConfig({ config, json: true }));
  expect(JSON.parse(validate('test/unit/no-such-file.yaml'))).toMatchObject({ valid: false, problems: [{}] });
  expect(process.exitCode).toBe(2);
});
