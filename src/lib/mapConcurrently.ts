/** Calls in flight at the same time, by default. */
const CONCURRENCY_MAX = 16;

/**
 * Calls a function for each item and returns the results in the items' order. Only some calls run at a time, so that
 * for example a thousand batchers are not asked at once.
 */
export async function mapConcurrently<Item, Result>(
  items: readonly Item[],
  call: (item: Item) => Promise<Result>,
  concurrencyMax = CONCURRENCY_MAX,
): Promise<Result[]> {
  const results: Result[] = [];
  for (let at = 0; at < items.length; at += concurrencyMax) {
    results.push(...(await Promise.all(items.slice(at, at + concurrencyMax).map(call))));
  }
  return results;
}
