/**
 * One thing that was checked.
 *
 * - `ok`: nothing to do
 * - `warning`: it works, but not as well as it could, or not for ever
 * - `wrong`: records wait, or get lost
 */
export interface Finding {
  readonly level: 'ok' | 'warning' | 'wrong';
  /** `topic orders`, `table orders`, `namespace default`. */
  readonly subject: string;
  readonly message: string;
  /** What to do about it. Empty if there is nothing to do. */
  readonly todo: string;
}

type Judge = (message: string, todo?: string) => Finding;

/** Makes findings about a subject. */
export function judges(subject: string): Record<Finding['level'], Judge> {
  const judge =
    (level: Finding['level']): Judge =>
    (message, todo = '') => ({ level, subject, message, todo });
  return { ok: judge('ok'), warning: judge('warning'), wrong: judge('wrong') };
}

/** How many findings there are of each level, in one line. */
export function counted(all: readonly Finding[]): string {
  const count = (level: Finding['level']): number => all.filter((finding) => finding.level === level).length;
  const warnings = count('warning');
  return `${count('wrong')} wrong, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}, ${count('ok')} ok`;
}
