/** Calls in flight at the same time, where the caller names no other number. */
const CONCURRENCY_MAX = 16;

/** What a call for each item gives, in the items' order. Some at a time: a thousand batchers are not asked at once. */
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
