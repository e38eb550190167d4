/** What a registry has is no schema of its kind. The message says why. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError';
}
