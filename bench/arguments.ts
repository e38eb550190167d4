import { accessSync, constants, existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InvalidArgumentError } from 'commander';
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
  return text.split(',').map(countFrom(1));
}

/** Reads names of factors, separated by commas. @throws InvalidArgumentError */
export function factorsOf(text: string): string[] {
  const factors = text.split(',');
  const unknown = factors.filter((factor) => FACTORS[factor] === undefined);
  if (unknown.length > 0)
    throw new InvalidArgumentError(`There is no ${unknown.join(', ')}. Factors: ${Object.keys(FACTORS).join(', ')}.`);
  return factors;
}

/** Reads the name of a file that can be written. @throws InvalidArgumentError if its directory is missing */
export function writableFile(text: string): string {
  try {
    accessSync(dirname(resolve(text)), constants.W_OK);
  } catch {
    throw new InvalidArgumentError(`Nothing can be written in ${dirname(resolve(text))}.`);
  }
  return text;
}

/** Reads the name of a `dist/cli.js`. @throws InvalidArgumentError if it is missing */
export function buildOf(text: string): string {
  if (!existsSync(text)) throw new InvalidArgumentError('There is no such file. Run `npm run build` there first.');
  return resolve(text);
}
