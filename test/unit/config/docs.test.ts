import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { checkConfig } from '../../../src/config/problems.js';
import { configReference } from '../../../src/config/reference.js';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

it('the configuration reference says what the schema says (else: npm run docs)', () => {
  const written = read('docs/configuration.md').split('npm run docs -->\n')[1] ?? '';
  const cells = (table: string) =>
    table
      .split('\n')
      .map((line) => line.replace(/\s*\|\s*/g, '|').replace(/-+/g, '-'))
      .filter((line) => line !== '');
  expect(cells(written)).toEqual(cells(configReference()));
});

it('the example, and every YAML block of README and docs that is a configuration, is valid', () => {
  const blocks = ['README.md', 'docs/configuration.md', 'ARCHITECTURE.md'].flatMap((file) =>
    [...read(file).matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block]) => ({ file, block: block ?? '' })),
  );
  for (const { file, block } of [{ file: 'examples/ktb.yaml', block: read('examples/ktb.yaml') }, ...blocks]) {
    const checked = checkConfig(parse(block));
    expect(checked.ok ? [] : checked.problems, file).toEqual([]);
  }
});
