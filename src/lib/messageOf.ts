/** What an error says, whatever was thrown. One that stands for several says what they say: its own words may name nothing, or be none. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { errors } = error as { errors?: unknown };
  if (!Array.isArray(errors) || errors.length === 0) return error.message;
  const each = [...new Set(errors.map(messageOf))].join('; ');
  return error.message === '' ? each : `${error.message}: ${each}`;
}
