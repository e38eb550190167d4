import { messageOf } from '../../lib/messageOf.js';
import { within } from '../../lib/within.js';

/** Time for one part to answer. A part that is down must not hide the others. */
const PART_TIMEOUT_MS = 4_000;

export type Answer<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: string };

/** The answer of a part, or why there is none. Never rejects. */
export async function answerOf<T>(promise: Promise<T>, timeoutMs = PART_TIMEOUT_MS): Promise<Answer<T>> {
  try {
    return { ok: true, value: await within(promise, timeoutMs) };
  } catch (error) {
    return { ok: false, error: messageOf(error) };
  }
}
