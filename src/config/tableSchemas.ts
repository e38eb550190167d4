import { z } from 'zod';
import { VALUE_IN_NAME } from '../protocol/tables.js';
import { findable, nonEmpty } from './valueSchemas.js';

/**
 * A table's name: parts without special characters, or between backquotes. It is no `pattern` in the schema, because
 * Go's regular expressions cannot express it.
 *
 * @param placeholder what stands for a part of a name, beside the letters
 */
function tablePattern(placeholder?: string): RegExp {
  const other = placeholder === undefined ? '' : `|${placeholder.replace(/[{}]/g, '\\$&')}`;
  const plain = String.raw`(?:[\p{L}_]${other})(?:[\p{L}\p{M}\p{N}_ -]${other})*(?<! )`;
  const quoted = '`(?:[^`\\\\\\0]|\\\\[`\\\\]|``)+`';
  return new RegExp(`^(?:${plain}|${quoted})(?:\\.(?:${plain}|${quoted}))?$`, 'u');
}

const OF_TOPIC = tablePattern('{topic}');
const OF_VALUE = tablePattern(VALUE_IN_NAME);
const PLAIN = tablePattern();

/** A table, or one for each topic. */
export const tableName = z.string().refine((text) => OF_TOPIC.test(text), {
  error:
    'must be table or database.table, with {topic} where the name of the topic belongs; other names between backquotes',
});

const oneTable = z.string().refine((text) => PLAIN.test(text) && !text.includes('{topic}'), {
  error: 'must be table or database.table, without {topic}; other names between backquotes',
});

/** Values of records are compared with it. YAML reads a number in many ways (`0123`, `0x10`, `1e3`), and its text is lost. */
const value = z
  .string({ error: 'must be a text: put it in quotes, so that it stays as it is written' })
  .refine((text) => text !== '' && !text.includes('\0'), { error: 'must be a text that a name can have' });

/** What somebody may write who means `reject` or `skip` is no table. */
const otherTable = oneTable.refine((text) => !/^(?:reject|skip|drop|ignore)$/i.test(text), {
  error: 'must be reject, skip, or a table; one whose name is like these words is written with its database',
});

/** Tables by a value of each record. */
export const tableByValue = z
  .strictObject({
    by: findable.describe(
      'Where the value is: a JSON pointer, key:/POINTER, envelope:/POINTER, header:NAME, or key. It is a text, a number, true or false.',
    ),
    tables: z.record(nonEmpty, oneTable).default({}).describe('The tables, as value: table.'),
    template: z
      .string()
      .refine((text) => OF_VALUE.test(text) && text.includes(VALUE_IN_NAME), {
        error: `must be table or database.table, with ${VALUE_IN_NAME} where the value belongs`,
      })
      .optional()
      .describe(
        'The table of each of `values`: `{value}.orders`, `orders_{value}`. The value stays within its part of the name, whatever ' +
          'characters it has.',
      ),
    values: z
      .array(value)
      .min(1, { error: 'must have at least one value' })
      .max(1_000, { error: 'must have 1,000 values at most' })
      .optional()
      .describe('The values that `template` is for, as texts. No other value gets a table by it.'),
    otherwise: z
      .union([z.enum(['reject', 'skip']), otherTable], { error: 'must be reject, skip, or a table' })
      .default('reject')
      .describe(
        'What happens to records whose value names no table, or that have none: they are rejected (no_such_table), skipped, or go to this table. ' +
          'A table with the name reject, skip, drop or ignore is written with its database.',
      ),
  })
  .refine(({ template, values }) => (template === undefined) === (values === undefined), {
    error: 'must have template and values, or neither',
  })
  .refine(({ tables, values }) => values !== undefined || Object.keys(tables).length > 0, {
    error: 'must name the values that have a table: under tables, or as values of template',
  })
  .refine(({ tables, values = [] }) => values.every((text) => !Object.hasOwn(tables, text)), {
    error: 'must name each value once: one of values is under tables, too',
  })
  .refine(({ values = [] }) => new Set(values).size === values.length, {
    error: 'must name each value once: one of values comes twice',
  });
