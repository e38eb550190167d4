import { z } from 'zod';

const DURATION_UNITS_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SIZE_UNITS_BYTES = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3, KB: 1e3, MB: 1e6, GB: 1e9 } as const;

/** A duration in the configuration file (`250ms`, `1s`, `5m`), in milliseconds after parsing. Both bounds inclusive. */
export function duration(bounds: { min: string; max: string }) {
  return quantity(DURATION_UNITS_MS, bounds, 'a duration such as 250ms, 1s or 5m');
}

/** Like {@link duration}, or the word `forever`, which becomes Infinity. */
export function durationOrForever({ min, max }: { min: string; max: string }) {
  return quantity(DURATION_UNITS_MS, { min, max }, `forever, or a duration from ${min} to ${max}`, 'forever');
}

/** A size in the configuration file (`512KiB`, `8MiB`), in bytes after parsing. Both bounds inclusive. */
export function size(bounds: { min: string; max: string }) {
  return quantity(SIZE_UNITS_BYTES, bounds, 'a size such as 512KiB, 8MiB or 1GiB');
}

/** A text that says something. */
export const nonEmpty = z.string().min(1, { error: 'must not be empty' });

const POINTER_HEADER_OR_KEY = /^(((key|envelope):)?\/.*|header:.+|key)$/s;

/** A source of a value that may lead to nothing. */
export const findable = z.string().regex(POINTER_HEADER_OR_KEY, {
  error: 'must be a JSON pointer such as /customer/id, key:/id, header:NAME, or key',
});

/** A value that records are compared with, or that columns get. A number that YAML reads through a double may have lost digits. */
export const constant = z
  .union([z.string(), z.boolean(), z.number()], { error: 'must be a text, a number, true or false' })
  .refine((value) => typeof value !== 'number' || Number.isSafeInteger(value), {
    error: 'must be a text if it is no integer up to 2^53, so that it keeps its digits: put it in quotes',
  });

/** A secret. Blanks are what a file has that was never filled. */
export const secret = nonEmpty.refine((text) => text === '' || text.trim() !== '', { error: 'must not be blank' });

/** A whole number, also as a string of digits, as `${VARIABLE}` gives it. Both bounds inclusive. */
export function count({ min, max }: { min: number; max: number }) {
  const number = z.int({ error: 'must be a whole number' });
  return z
    .union([number, z.string().regex(/^\d+$/).transform(Number)], { error: 'must be a whole number' })
    .refine((value) => value >= min && value <= max, { error: `must be from ${min} to ${max}` })
    .meta(bounded(min.toLocaleString('en'), max.toLocaleString('en')));
}

function quantity<Unit extends string>(
  units: Readonly<Record<Unit, number>>,
  { min, max }: { min: string; max: string },
  expected: string,
  boundless?: string,
) {
  const word = boundless === undefined ? '' : `|^${boundless}$`;
  const pattern = new RegExp(`^(\\d+(?:\\.\\d+)?) ?(${Object.keys(units).join('|')})$${word}`);
  const parse = (text: string): number | undefined => {
    if (text === boundless) return Infinity;
    const match = pattern.exec(text);
    return match === null ? undefined : Math.round(Number(match[1]) * units[match[2] as Unit]);
  };
  const lowest = parse(min) ?? 0;
  const highest = parse(max) ?? Infinity;
  return z
    .string({ error: `must be ${expected}` })
    .regex(pattern, { error: `must be ${expected}`, abort: true })
    .transform((text) => parse(text) ?? 0)
    .refine((value) => (value >= lowest && value <= highest) || (boundless !== undefined && value === Infinity), {
      error: `must be from ${min} to ${max}`,
    })
    .meta(bounded(min, max, boundless));
}

/** What the reference and the JSON Schema say about the bounds of a value. */
function bounded(min: string, max: string, boundless?: string): { bounds: string } {
  return { bounds: `From ${min} to ${max}${boundless === undefined ? '' : `, or ${boundless}`}.` };
}
