/**
 * Inserts what can be inserted of a list and finds what cannot: where a whole is refused, its halves are tried, until the
 * culprits are alone. k culprits among n cost O(k log n) tries.
 *
 * @param tryAll inserts all items or refuses all of them; null for success, or the reason why not
 * @returns the refused items with their reasons
 */
export async function bisect<Item, Reason>(
  items: readonly Item[],
  tryAll: (items: readonly Item[]) => Promise<Reason | null>,
): Promise<{ readonly item: Item; readonly reason: Reason }[]> {
  const refused: { item: Item; reason: Reason }[] = [];
  // Taken from the end, so that the first half is tried first and the order of the items is kept.
  const parts: (readonly Item[])[] = [items];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const [item] = part;
    if (item === undefined) continue;
    const reason = await tryAll(part);
    if (reason === null) continue;
    if (part.length === 1) refused.push({ item, reason });
    else {
      const middle = Math.ceil(part.length / 2);
      parts.push(part.slice(middle), part.slice(0, middle));
    }
  }
  return refused;
}
