/*
 * Where a column takes its values from: the entries of `columns` in the configuration.
 */

/**
 * A text in the simple case: `/pointer`, `key:/pointer`, `envelope:/pointer`, `header:NAME`, `value`, `document`,
 * `headers`, `kind`, or a coordinate of the record. Otherwise a rule. Workers of version 0.1.0 fail on a rule, and on a text that they do not know: they do not
 * insert other values.
 */
export type ColumnSource = string | SourceRule;

export interface SourceRule {
  /** Of these sources (pointers, headers, `key`), the first that leads to something other than null. */
  readonly first?: readonly string[];
  /** For every record the same value. Then there is no other key. */
  readonly constant?: Constant;
  /** The numbers are times since 1970, counted in this unit. */
  readonly unit?: TimeUnit;
  /** A record in which none of the sources leads to anything is rejected. */
  readonly required?: true;
  /** The value if none of the sources leads to anything. */
  readonly default?: Constant;
}

/** Integers are those that a double holds. Others are written as texts, which ClickHouse reads as numbers. */
export type Constant = string | number | boolean;

export const TIME_UNITS = ['s', 'ms', 'us', 'ns'] as const;
export type TimeUnit = (typeof TIME_UNITS)[number];

/** The texts that a source consists of. */
export function sourcesOf(source: ColumnSource): readonly string[] {
  return typeof source === 'string' ? [source] : (source.first ?? []);
}

/** The JSON pointers into the value that a source has. */
export function pointersOf(source: ColumnSource): readonly string[] {
  return sourcesOf(source).filter((from) => from.startsWith('/'));
}

/** The documents that JSON pointers lead into. `envelope`: what is around the row, with `op` and `source`. */
export type PointedAt = 'value' | 'key' | 'envelope';

/** The JSON pointer that a source is, and what it leads into. Null if it is another source. */
export function pointerOf(from: string): { readonly into: PointedAt; readonly pointer: string } | null {
  const [, into = 'value', pointer] = /^(?:(key|envelope):)?(\/.*)$/s.exec(from) ?? [];
  return pointer === undefined ? null : { into: into as PointedAt, pointer };
}

/** A source in a message. */
export function sourceText(source: ColumnSource): string {
  return typeof source === 'string' ? source : (source.first?.join(' or ') ?? 'a constant');
}
