import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { Ledger } from '../../../chaos/ledger.js';
import { readAcks, readInput, readLetters } from '../../../chaos/readings.js';

function fileOf(lines: readonly (readonly (string | number)[])[], end = '\n'): string {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-readings-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = join(directory, 'read.tsv');
  writeFileSync(file, lines.map((cells) => cells.join('\t')).join('\n') + end);
  return file;
}

it('reads records, dead letters and acknowledgements, more than fit into one piece of a file', async () => {
  const ledger = new Ledger();
  const count = 10_000;
  const offsets = Array.from({ length: count }, (_, offset) => offset);
  const expects = (offset: number): string => (offset === 7 ? 'not_json' : '');
  const input = offsets.map((offset) => [
    2,
    offset,
    offset + 5,
    offset === 3 ? '\\N' : 'schlüssel',
    'ff',
    '1f',
    expects(offset),
  ]);
  await readInput(fileOf(input), ledger);
  await readLetters(fileOf([[2, 7, 12, 'not_json', '1f']]), ledger);
  const said = (offset: number): string[] => (offset === 7 ? ['rejected', 'b', 'not_json'] : ['inserted', 'b', '']);
  await readAcks(
    fileOf(offsets.map((offset) => [0, offset, 2, offset, ...said(offset), offset + 5, 1_000 + offset])),
    ledger,
    (batch, partition, offset) => (batch === 'b' && partition === 2 && offset === 8 ? 'e' : null),
  );
  expect(ledger.counts).toMatchObject({ records: count, letters: 1, acks: count, secondAcks: 0 });
  const seen = new Map<number, unknown>();
  const epochs = new Map<number, unknown>();
  ledger.forEach(
    ({ place, id, key, expects: code, said: answer, letters, firstAckAtMs, answers }, partition, offset) => {
      expect(partition).toBe(2);
      expect(firstAckAtMs).toBe(1_000 + offset);
      if ([7, 8].includes(offset)) epochs.set(offset, ledger.epochs.at(answers[0]?.epoch ?? -1));
      if ([3, 7].includes(offset)) seen.set(offset, { place, id, key, code, answer, letters });
    },
  );
  expect(Object.fromEntries(seen)).toEqual({
    3: { place: '2/3', id: 8, key: null, code: '', answer: 'inserted', letters: 0 },
    7: { place: '2/7', id: 12, key: 'schlüssel', code: 'not_json', answer: 'rejected not_json', letters: 1 },
  });
  expect(Object.fromEntries(epochs)).toEqual({ 7: null, 8: 'e' });
  expect(ledger.strange.count).toBe(0);
});

it('refuses a file that was not written to its end', async () => {
  await expect(readLetters(fileOf([[2, 7, 12, 'not_json', '1f']], ''), new Ledger())).rejects.toThrow(/within a line/);
});
