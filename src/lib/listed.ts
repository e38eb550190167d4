/** This many problems are shown in one line. The others are counted. */
const SHOWN = 5;

/**
 * The first few of a list, and how many more there are, in one line.
 *
 * @param shown how many are named, at most
 */
export function listed(problems: readonly string[], shown = SHOWN): string {
  const more = problems.length - shown;
  return `${problems.slice(0, shown).join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}
