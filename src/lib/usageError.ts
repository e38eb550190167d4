/**
 * What was written, on the command line or in the configuration file, cannot be meant: `ktb` ends with exit code 2. Trying again
 * does not help.
 */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}
