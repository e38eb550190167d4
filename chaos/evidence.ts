/** A count that a fault makes grow, and which everybody can look up: errors that ClickHouse has met, runs in Temporal, commits. */
export type Count = () => Promise<number>;

/** Repeats what another fault makes impossible at the moment. */
export type Retry = <T>(act: () => Promise<T>) => Promise<T>;

/**
 * Looks at a count now. How much it has grown since is the evidence that a fault has hit something. What counts may have been
 * restarted, and counts from zero then.
 */
export async function growthOf(count: Count, retry: Retry): Promise<Count> {
  const before = await retry(count);
  return async () => {
    const after = await retry(count);
    return after >= before ? after - before : after;
  };
}

/** Errors that a ClickHouse without a free byte on its disk has met. */
export const DISK_ERRORS: readonly string[] = [
  'CANNOT_CREATE_FILE',
  'CANNOT_FSYNC',
  'CANNOT_OPEN_FILE',
  'CANNOT_WRITE_TO_FILE_DESCRIPTOR',
  'CANNOT_WRITE_TO_OSTREAM',
  'NOT_ENOUGH_SPACE',
  'STD_EXCEPTION',
];
/** It was to read or write a table that is not there. */
export const TABLE_ERRORS: readonly string[] = ['UNKNOWN_TABLE'];
/** A view has refused rows by `throwIf`. */
export const VIEW_ERRORS: readonly string[] = ['FUNCTION_THROW_IF_VALUE_IS_NON_ZERO'];
