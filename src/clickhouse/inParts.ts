import { InsertError } from './insertErrors.js';

/**
 * Asks about all items together. If that is over a limit of the user's, such as `max_result_rows`, it asks about each half,
 * and so on.
 *
 * @returns the answers, in the order of the items
 * @throws whatever `ask` throws, also if the question about one item alone is over a limit
 */
export async function* inParts<Item, Answer>(
  items: readonly Item[],
  ask: (part: readonly Item[]) => Promise<Answer>,
): AsyncGenerator<Answer, void, undefined> {
  let answer: Answer;
  try {
    answer = await ask(items);
  } catch (error) {
    if (items.length < 2 || !(error instanceof InsertError && error.kind === 'oversized')) throw error;
    const middle = Math.ceil(items.length / 2);
    yield* inParts(items.slice(0, middle), ask);
    yield* inParts(items.slice(middle), ask);
    return;
  }
  yield answer;
}
