import { lastHeader, type HeaderValue, type RecordHeader } from './record.js';

/**
 * Header of a record that `ktb dlq replay` has published again: the offset that it had at first. Where the latest change
 * of a row wins by its offset, an old change must not win because it was replayed.
 */
const REPLAYED_OFFSET = 'ktb.replayed.offset';

/** The offset that a record had before it was replayed. Undefined if it was not. */
export function replayedOffset(headers: readonly RecordHeader[]): number | undefined {
  const text = lastHeader(headers, REPLAYED_OFFSET)?.toString();
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Headers of a record that is replayed: its own, and the offset that it had at first, before any other replay. */
export function replayedHeaders(own: Readonly<Record<string, HeaderValue[]>>, offset: number): typeof own {
  const earlier = own[REPLAYED_OFFSET]?.map((value): RecordHeader => [
    REPLAYED_OFFSET,
    value === null ? null : Buffer.from(value),
  ]);
  return { ...own, [REPLAYED_OFFSET]: [String(replayedOffset(earlier ?? []) ?? offset)] };
}
