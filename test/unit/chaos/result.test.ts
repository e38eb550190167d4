import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { whyNotOfCommit } from '../../../chaos/result.js';

it('a result names the commit of a build that is as new as the sources', () => {
  const root = mkdtempSync(join(tmpdir(), 'ktb-result-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const write = (file: string, atS: number): void => {
    mkdirSync(join(root, file, '..'), { recursive: true });
    writeFileSync(join(root, file), '');
    utimesSync(join(root, file), atS, atS);
  };
  write('src/kafka/one.ts', 100);
  expect(whyNotOfCommit(root, undefined)).toBe('dist/cli.js is missing: npm run build');
  write('dist/cli.js', 101);
  expect(whyNotOfCommit(root, undefined)).toBeNull();
  expect(whyNotOfCommit(root, 'other/dist/cli.js')).toMatch(/leave --cli out/);
  write('src/kafka/one.ts', 102);
  expect(whyNotOfCommit(root, undefined)).toBe('dist/cli.js is older than src/kafka/one.ts: npm run build');
});
