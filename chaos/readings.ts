import { createReadStream } from 'node:fs';
import type { Batches } from './batches.js';
import type { Commit } from './checks.js';
import type { Ledger } from './ledger.js';

/** What `clients/read.py` has read, line by line: ten million are more than the memory should hold at once. */

/**
 * @param before leaves out what comes at this offset, and later
 * @param from leaves out what comes before this offset
 */
export function readInput(file: string, ledger: Ledger, before = Infinity, from = 0): Promise<void> {
  return forEachLine(file, ([partition, offset, id, key = '', row = '', letter = '', expects = '']) => {
    if (Number(offset) >= before || Number(offset) < from) return;
    ledger.addRecord({
      partition: Number(partition),
      offset: Number(offset),
      id: Number(id),
      key: key === '\\N' ? null : key,
      row: parseInt(row, 16),
      letter: parseInt(letter, 16),
      expects,
    });
  });
}

/** The offsets of records that were read. */
export async function offsetsIn(file: string): Promise<number[]> {
  const offsets: number[] = [];
  await forEachLine(file, ([, offset]) => offsets.push(Number(offset)));
  return offsets;
}

/** How many records at this offset and later have to become rows. */
export async function countGood(file: string, from: number): Promise<number> {
  let count = 0;
  await forEachLine(file, ([, offset, , , , , expects = '']) => {
    if (Number(offset) >= from && expects === '') count++;
  });
  return count;
}

/** The ids of records at this offset and later. */
export async function idsIn(file: string, from: number): Promise<number[]> {
  const ids: number[] = [];
  await forEachLine(file, ([, offset, id]) => {
    if (Number(offset) >= from) ids.push(Number(id));
  });
  return ids;
}

/** @param epochOf see {@link Batches.epochOf} */
export function readAcks(file: string, ledger: Ledger, epochOf: Batches['epochOf']): Promise<void> {
  return forEachLine(file, (cells) => {
    const [replyPartition, replyOffset, partition, offset, status = '', batch = '', code = '', id, atMs] = cells;
    ledger.addAck({
      replyPartition: Number(replyPartition),
      replyOffset: Number(replyOffset),
      partition: Number(partition),
      offset: Number(offset),
      status,
      batch,
      epoch: epochOf(batch, Number(partition), Number(offset)),
      code,
      id: Number(id),
      atMs: Number(atMs),
    });
  });
}

export function readLetters(file: string, ledger: Ledger): Promise<void> {
  return forEachLine(file, ([partition, offset, id, code = '', digest = '']) =>
    ledger.addLetter({
      partition: Number(partition),
      offset: Number(offset),
      id: Number(id),
      code,
      digest: parseInt(digest, 16),
    }),
  );
}

/** In the order of their times. */
export async function readCommits(file: string): Promise<Commit[]> {
  const commits: Commit[] = [];
  await forEachLine(file, ([atMs, partition, offset]) =>
    commits.push({ atMs: Number(atMs), partition: Number(partition), offset: Number(offset) }),
  );
  return commits.sort((one, other) => one.atMs - other.atMs);
}

async function forEachLine(file: string, add: (cells: string[]) => unknown): Promise<void> {
  let rest = '';
  for await (const piece of createReadStream(file, { encoding: 'utf8' }) as AsyncIterable<string>) {
    const text = rest + piece;
    let from = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', from)) {
      add(text.slice(from, end).split('\t'));
      from = end + 1;
    }
    rest = text.slice(from);
  }
  if (rest !== '') throw new Error(`${file} ends within a line`);
}
