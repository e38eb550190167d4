/** A failure in words that say what happened, without need of a stack trace. */
export class DemoError extends Error {
  override readonly name = 'DemoError';
}
