import type { Context } from '@temporalio/activity';
import type { AttemptNotes } from '../protocol/attemptNotes.js';
import { isRefused } from '../protocol/encryption.js';

/*
 * Notes of attempts that are encrypted for their activity. Whoever may write to the namespace can send heartbeats for an
 * activity by its id. So the notes of another one are not believed: they may say that no attempt has begun, or that a
 * table has everything.
 */

/** How the notes of one activity are read and written. */
export interface NotesBinding {
  /** Whether the notes that this attempt was given are of another activity, or of somebody without the key. */
  readonly areRefused: boolean;
  /** Says for which activity notes are, before they are encrypted. */
  readonly bind: <T extends object>(notes: T) => T;
}

const bindings = new WeakMap<object, NotesBinding>();

/** For the attempt with this context. */
export function bindNotes(context: object, binding: NotesBinding): void {
  bindings.set(context, binding);
}

/** Notes as they are sent. */
export function boundNotes<T extends AttemptNotes>(context: object, notes: T): T {
  return bindings.get(context)?.bind(notes) ?? notes;
}

/** The notes that an attempt was given. Those that are refused, or cannot be read, are none: then the attempt asks the tables. */
export function givenNotes(context: Pick<Context, 'info'>): {
  readonly details: unknown;
  readonly wereRefused: boolean;
} {
  const details: unknown = context.info.heartbeatDetails;
  const wereRefused = bindings.get(context)?.areRefused ?? isRefused(details);
  return { details: wereRefused ? undefined : details, wereRefused };
}
