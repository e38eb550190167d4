/** This many problems are shown in one line. The others are counted. */
const SHOWN = 5;

/** The first few of a list, and how many more there are, in one line. */
export function listed(problems: readonly string[]): string {
  const more = problems.length - SHOWN;
  return `${problems.slice(0, SHOWN).join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}
