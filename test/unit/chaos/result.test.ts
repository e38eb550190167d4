import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { FAULT_KINDS } from '../../../chaos/plan.js';
import { appendResult, brokenOff, whyNotOfCommit, type ChaosResult } from '../../../chaos/result.js';
import { trustReference } from '../../../scripts/trust.js';

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

it('the page names the kinds of faults that have hit nothing in any run', () => {
  const run = { ...brokenOff({ seed: 1, commit: 'abc', date: '2026-01-31', minutes: 5 }, ''), misses: { rewound: 2 } };
  const page = (...counts: number[]) =>
    trustReference(
      counts.map((count) => ({ ...run, faults: Object.fromEntries(FAULT_KINDS.map((kind) => [kind, count])) })),
    );
  const all = FAULT_KINDS.toSorted().join(', ');
  expect(page(0, 0)).toContain(`nothing is known of them here: ${all}.`);
  expect(page(0, 1)).not.toContain('nothing is known of them');
  const others = { ...run, faults: Object.fromEntries(FAULT_KINDS.map((kind) => [kind, kind === 'burst' ? 0 : 1])) };
  expect(trustReference([others])).toContain('nothing is known of them here: burst.');
});

it('a run that breaks off is noted with its seed and its reason, and is shown among the others', () => {
  const root = mkdtempSync(join(tmpdir(), 'ktb-result-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const file = join(root, 'results.json');
  const run = { seed: 7, commit: 'abc', date: '2026-01-31', minutes: 5, slowness: 2 };
  const { brokeOff, ...judged } = brokenOff({ ...run, seed: 6 }, 'away');
  expect(brokeOff).toBe('away');
  appendResult(file, { ...judged, violations: { 'a check': 3 } });
  appendResult(file, brokenOff(run, new Error(`no | leader\n${'what was printed '.repeat(99)}`)));
  const results = JSON.parse(readFileSync(file, 'utf8')) as ChaosResult[];
  expect(results[1]).toMatchObject({ seed: 7, minutes: 5, violations: {}, brokeOff: 'Error: no | leader' });
  const rows = trustReference(results).split('\n');
  expect(rows.find((row) => /^\| +6 /.test(row))).toContain('a check: 3');
  expect(rows.find((row) => /^\| +7 /.test(row))).toContain('broke off, nothing was judged: Error: no / leader');
});
