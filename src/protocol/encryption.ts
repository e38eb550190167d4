/*
 * What the code in Temporal's sandbox knows of encrypted payloads. They are encrypted and decrypted outside of it, see
 * `codecs/payloadCipher.ts`.
 */

/** The encoding of an encrypted payload, in its metadata. */
export const ENCRYPTED_ENCODING = 'binary/ktb-encrypted';

/**
 * The encoding that a payload gets when it is read, if it was not encrypted with the key that it names, or for another
 * workflow. It never travels.
 */
export const REFUSED_ENCODING = 'binary/ktb-refused';

/**
 * Metadata that a payload gets when it is read, if it was encrypted with one of our keys, for the workflow that reads it:
 * its purpose. It never travels.
 */
export const AUTHENTIC_METADATA = 'ktb-authentic';

/**
 * Metadata of an encrypted payload: the key's id and its check value, the workflow that it is for, and its purpose. The
 * workflow's code may name the purpose of a payload before it is encrypted.
 */
export const KEY_METADATA = 'ktb-key';
export const WORKFLOW_METADATA = 'ktb-workflow';
export const PURPOSE_METADATA = 'ktb-purpose';

/** Metadata of a payload that is to be encrypted although no key is active, if there is one. It never travels. */
export const IN_ANY_CASE_METADATA = 'ktb-in-any-case';

/**
 * What an encrypted payload is. It is authenticated with it. Without it, whoever can read a history could use what is there
 * for something else: an answer to a query as a signal.
 */
export const PURPOSES = {
  /** What a process of ktb writes without another purpose: answers to queries, results of workflows. */
  own: 'own',
  /** The arguments that a process of ktb starts a batcher with. */
  input: 'input',
  /** Everything of requesters, also their signals to batchers. */
  request: 'request',
} as const;

/** An argument of a signal that a process of ktb sends. All arguments of a signal share its id. */
export function signalPurpose(name: string, index: number, id: string): string {
  return `signal:${name}:${index}:${id}`;
}

/** An argument that a run hands to the next one. */
export function carriedPurpose(index: number, runId: string): string {
  return `carried:${index}:${runId}`;
}

/**
 * An argument of an activity that a batcher calls. All arguments of one call share its id. So does what comes back: see
 * {@link resultPurpose} and {@link notesPurpose}.
 */
export function argumentPurpose(activity: string, index: number, call: string): string {
  return `activity:${activity}:${index}:${call}`;
}

/** The result of one call of an activity. */
export function resultPurpose(call: string): string {
  return `result:${call}`;
}

/** What an attempt of one call tells the attempts after it, with its heartbeats. */
export function notesPurpose(call: string): string {
  return `notes:${call}`;
}

/** Whether it is the purpose of what an activity says to a call. Only a call whose arguments came encrypted has it. */
export function isAnswer(purpose: string): boolean {
  return purpose.startsWith(resultPurpose('')) || purpose.startsWith(notesPurpose(''));
}

/** Purposes of the values that came encrypted. */
const read = new WeakMap<object, string>();

/** Notes that a value came encrypted, and for what. Only objects can be noted. */
export function markAuthentic(value: unknown, purpose: string): void {
  if (typeof value === 'object' && value !== null) read.set(value, purpose);
}

/** What a value was encrypted for, by somebody who has the key, and for the workflow that reads it. Null if it was not. */
export function purposeOf(value: unknown): string | null {
  return typeof value === 'object' && value !== null ? (read.get(value) ?? null) : null;
}

/** Whether these values are the arguments of one signal of ours. Their id, or null if they are not. */
export function signalIdOf(name: string, args: readonly unknown[]): string | null {
  const prefix = signalPurpose(name, 0, '');
  const [purpose = null] = args.map(purposeOf);
  if (purpose?.startsWith(prefix) !== true) return null;
  const id = purpose.slice(prefix.length);
  return args.every((arg, index) => purposeOf(arg) === signalPurpose(name, index, id)) ? id : null;
}

/**
 * The id of the call that these arguments of an activity are for. Null if they were not encrypted, not by a batcher, or
 * not all for one call. Texts and numbers cannot be noted, so they are not looked at.
 *
 * @param purpose what an argument was encrypted for
 */
export function callOf(
  activity: string,
  args: readonly unknown[],
  purpose: (arg: object) => string | null,
): string | null {
  const calls = args.flatMap((arg, index) => {
    if (typeof arg !== 'object' || arg === null) return [];
    const prefix = argumentPurpose(activity, index, '');
    const found = purpose(arg);
    return [found?.startsWith(prefix) === true ? found.slice(prefix.length) : null];
  });
  const [call = null] = calls;
  return calls.every((other) => other === call) ? call : null;
}

/**
 * How a value came that should have been encrypted for one purpose. `plain`: not encrypted, or by an activity whose
 * arguments were not: then it did not know the purpose. `wrong`: for something else, or with another key.
 */
export type Binding = 'right' | 'plain' | 'wrong';

/**
 * How the result of a call came.
 *
 * @param call null: the arguments of the activity were not encrypted
 */
export function resultBinding(result: unknown, call: string | null): Binding {
  if (isRefused(result)) return 'wrong';
  return bindingOf(purposeOf(result), call === null ? null : resultPurpose(call));
}

/** @param expected null: nothing but `plain` is right */
export function bindingOf(found: string | null, expected: string | null): Binding {
  if (found === null || found === PURPOSES.own) return 'plain';
  return found === expected ? 'right' : 'wrong';
}

/** Whether a payload was encrypted, but not with the key that it names, or not for the workflow that reads it. */
export function isRefused(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'encoding' in value && value.encoding === REFUSED_ENCODING;
}

/** What a value is encrypted for. */
export interface Intention {
  readonly purpose: string;
  /** Although no key is active, if there is one. */
  readonly inAnyCase: boolean;
}

/** Of values that are to be encrypted. */
const intended = new WeakMap<object, Intention>();

/** Says what a value is for, before it is encrypted. */
export function intend<T extends object>(value: T, purpose: string, inAnyCase = false): T {
  intended.set(value, { purpose, inAnyCase });
  return value;
}

export function intentionOf(value: unknown): Intention | undefined {
  return typeof value === 'object' && value !== null ? intended.get(value) : undefined;
}
