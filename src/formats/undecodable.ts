/** Bytes are not what their schema says. The message says why, without a value of the record. No retry helps. */
export class UndecodableError extends Error {
  override readonly name = 'UndecodableError';
}
