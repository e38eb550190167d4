/** What a registry has is no schema of its kind. The message says why. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError';
}

/** Bytes are not what their schema says. The message says why, without a value of the record. No retry helps. */
export class UndecodableError extends Error {
  override readonly name = 'UndecodableError';
}

/** Whether types, or values, are within each other too deeply: they are read by recursion. */
export function isEndOfStack(error: unknown): boolean {
  return error instanceof RangeError && error.message.includes('call stack');
}
