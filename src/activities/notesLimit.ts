import { jsonBytes } from '../lib/jsonBytes.js';
import { withoutMessages, type AttemptNotes, type InsertNotes } from '../protocol/attemptNotes.js';

/**
 * Bytes of an attempt's notes, as JSON. From 256 KiB on Temporal's server warns of each heartbeat (`limit.blobSize.warn`),
 * and over `limit.blobSize.error` it ends the activity, without a retry.
 */
export const NOTES_BYTES_MAX = 250_000;

/**
 * What is left out of notes that are too large, one after the other, each table by table, the last one first. Missing
 * notes are safe: the next attempt asks the table. But only what is noted can be repaired in views, so that goes last.
 */
const REDUCTIONS: readonly ((note: InsertNotes) => InsertNotes | undefined)[] = [
  (note) => (note.done === undefined ? note : { ...note, done: withoutMessages(note.done) }),
  (note) => (note.done === undefined ? note : undefined),
  ({ unsettled: _, ...note }) => ({ ...note, unsettled: [], incomplete: true }),
  () => undefined,
];

/**
 * Notes that fit into a heartbeat, whatever the number of tables. The same notes with more to add lose the same parts
 * again: otherwise records would be acknowledged at each attempt anew.
 *
 * @param bytesMax of JSON in UTF-8
 */
export function notesWithin(notes: AttemptNotes, bytesMax: number): AttemptNotes {
  // A table that is done is counted as acknowledged, so that there is room for its name when it is.
  const tables = Object.entries(notes.inserts ?? {});
  const done = tables.flatMap(([table, note]) => (note.done === undefined ? [] : [table]));
  let bytes = jsonBytes({ ...notes, acknowledgedTables: done });
  if (bytes <= bytesMax) return notes;
  const kept = new Map(tables);
  for (const reduce of REDUCTIONS) {
    for (const [table, note] of [...kept].reverse()) {
      if (bytes <= bytesMax) break;
      const reduced = reduce(note);
      bytes -= bytesOf(table, note) - bytesOf(table, reduced);
      if (reduced === undefined) kept.delete(table);
      else kept.set(table, reduced);
    }
  }
  const { acknowledgedTables } = notes;
  return {
    ...notes,
    inserts: Object.fromEntries(kept),
    // What is not done counts for nothing. An empty list still says that skipped records are acknowledged.
    ...(acknowledgedTables === undefined
      ? {}
      : { acknowledgedTables: acknowledgedTables.filter((table) => kept.get(table)?.done !== undefined) }),
  };
}

/** What a table adds to the notes. */
function bytesOf(table: string, note: InsertNotes | undefined): number {
  if (note === undefined) return 0;
  return (note.done === undefined ? 1 : 2) * jsonBytes(table) + jsonBytes(note);
}
