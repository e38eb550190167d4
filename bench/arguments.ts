import { closeSync, openSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidArgumentError } from 'commander';
import { messageOf } from '../src/lib/messageOf.js';
import { FACTORS } from './sweep.js';

/** `dist/cli.js` of this build. */
export const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

/** Reads a whole number. @throws InvalidArgumentError if it is none, or less than `min` */
export function countFrom(min: number): (text: string) => number {
  return (text) => {
    const count = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(count) || count < min)
      throw new InvalidArgumentError(`It must be a whole number, ${min} or more.`);
    return count;
  };
}

/** Reads records/s, separated by commas. @throws InvalidArgumentError */
export function ratesOf(text: string): number[] {
  return [...new Set(text.split(',').map(countFrom(1)))];
}

/** Reads names of factors, separated by commas. @throws InvalidArgumentError */
export function factorsOf(text: string): string[] {
  const factors = [...new Set(text.split(','))];
  const unknown = factors.filter((factor) => !Object.hasOwn(FACTORS, factor));
  if (unknown.length > 0)
    throw new InvalidArgumentError(`There is no ${unknown.join(', ')}. Factors: ${Object.keys(FACTORS).join(', ')}.`);
  return factors;
}

/** Reads the name of a file, and creates it if it is missing. @throws InvalidArgumentError if it cannot be written */
export function writableFile(text: string): string {
  try {
    closeSync(openSync(text, 'a'));
  } catch (error) {
    throw new InvalidArgumentError(`It cannot be written: ${messageOf(error)}.`);
  }
  return text;
}

/** Reads the name of a `dist/cli.js`. @throws InvalidArgumentError if it is missing */
export function buildOf(text: string): string {
  if (statSync(text, { throwIfNoEntry: false })?.isFile() !== true)
    throw new InvalidArgumentError('There is no such file. Run `npm run build` there first.');
  return resolve(text);
}
