import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { buildOf, countFrom, factorsOf, ratesOf, writableFile } from '../../../bench/arguments.js';

it('arguments that would measure nothing are refused before anything is started', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-arguments-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  expect(countFrom(0)('0')).toBe(0);
  for (const text of ['abc', '-5', '1.5', '', '1e3'])
    expect(() => countFrom(0)(text)).toThrow('a whole number, 0 or more');
  expect(ratesOf('100,2000')).toEqual([100, 2_000]);
  for (const text of ['0', '100,', 'fast']) expect(() => ratesOf(text)).toThrow('a whole number, 1 or more');
  expect(factorsOf('size,keys')).toEqual(['size', 'keys']);
  expect(() => factorsOf('size,colour')).toThrow(/There is no colour. Factors: size, partitions/);
  expect(() => factorsOf('constructor')).toThrow('There is no constructor');
  expect(factorsOf('size,size')).toEqual(['size']);
  expect(() => writableFile(directory)).toThrow('It cannot be written');
  expect(writableFile(join(directory, 'run.json'))).toBe(join(directory, 'run.json'));
  expect(() => writableFile(join(directory, 'missing', 'run.json'))).toThrow('It cannot be written');
  expect(() => buildOf(join(directory, 'cli.js'))).toThrow('npm run build');
  writeFileSync(join(directory, 'cli.js'), '');
  expect(buildOf(join(directory, 'cli.js'))).toBe(join(directory, 'cli.js'));
});
