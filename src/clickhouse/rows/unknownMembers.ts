import type { Rejection } from '../../protocol/ack.js';
import type { Mapping } from '../../protocol/settings.js';
import type { IgnoredFields } from './ignoredFields.js';
import { outOfRange, unknownMember } from './rowRejections.js';

/**
 * Decides about members of objects for which the Tuple of their column has no element. ClickHouse drops them. So they are
 * left out and counted like fields without a column, if the pipeline ignores these. Otherwise their record is rejected.
 */
export class UnknownMembers {
  readonly #ignored: IgnoredFields | undefined;
  #refused: string | undefined;

  /** @param ignored counts the members that are left out */
  constructor(unknownFields: Mapping['unknownFields'], ignored: IgnoredFields) {
    this.#ignored = unknownFields === 'ignore' ? ignored : undefined;
  }

  /** Whether a member may be left out. For checks of values. @param path with its column: `address.zip` */
  readonly mayLeaveOut = (path: string): boolean => {
    if (this.#ignored === undefined) this.#refused = path;
    else this.#ignored.count(path, Infinity);
    return this.#ignored !== undefined;
  };

  /** Why a column's value was refused by its check. */
  rejection(column: string): Rejection {
    const path = this.#refused;
    this.#refused = undefined;
    return path === undefined ? outOfRange(column) : unknownMember(path);
  }
}
