/**
 * The message of whatever was thrown. For an error that stands for several errors, their messages are added, because
 * its own may be empty or say nothing.
 */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { errors } = error as { errors?: unknown };
  if (!Array.isArray(errors) || errors.length === 0) return error.message;
  const each = [...new Set(errors.map(messageOf))].join('; ');
  return error.message === '' ? each : `${error.message}: ${each}`;
}
