/** The command line or the configuration file is wrong. `ktb` ends with exit code 2. A retry does not help. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError';
}
