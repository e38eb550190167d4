import type { Constant } from './columnSource.js';

/**
 * What the value of a record must have, so that the record becomes a row. All that a rule says must be true. A value that
 * is null, or not there, is equal to nothing.
 */
export interface WhereRule {
  /** Where the value is looked for. */
  readonly pointer: string;
  readonly equals?: Constant | undefined;
  readonly notEquals?: Constant | undefined;
  readonly in?: readonly Constant[] | undefined;
  readonly notIn?: readonly Constant[] | undefined;
  /** Whether there is something other than null. */
  readonly exists?: boolean | undefined;
}
