import { bytesToHex } from '@noble/hashes/utils.js';
import { purposeOf } from '../protocol/encryption.js';
import type { ForeignSignal } from '../protocol/foreignSignal.js';
import { encodedJsonBytes } from './encodedJsonBytes.js';

/**
 * Foreign signals that wait for the dead-letter topic. Pure. They are bounded, because they travel in an activity's
 * input and over continue-as-new. A large signal, or one too many, is kept without its value. A flood is only counted.
 *
 * A signal that came encrypted is kept without its value, too. Somebody without the key may have copied it from the
 * batcher's history, under another name, to read it on the topic.
 */
export class ForeignSignals {
  /** Signals waiting. */
  static readonly WAITING_MAX = 500;
  /** Bytes of a signal's arguments, as JSON in UTF-8. */
  static readonly VALUE_MAX = 192 * 1024;
  /** Bytes of the arguments of all that wait. */
  static readonly VALUES_MAX = 384 * 1024;
  /** Characters of a signal's name. */
  static readonly NAME_MAX = 200;

  #waiting: readonly ForeignSignal[];
  #valueBytes: number;

  constructor(waiting: readonly ForeignSignal[] = []) {
    this.#waiting = waiting;
    this.#valueBytes = valueBytesOf(waiting);
  }

  get waiting(): readonly ForeignSignal[] {
    return this.#waiting;
  }

  add(name: string, args: readonly unknown[], atMs: number): void {
    if (this.#waiting.length >= ForeignSignals.WAITING_MAX) return;
    const text = toJson(args);
    const size = text === null ? 0 : utf8Bytes(text);
    const room = Math.min(ForeignSignals.VALUE_MAX, ForeignSignals.VALUES_MAX - this.#valueBytes);
    const value = size > room || args.some((arg) => purposeOf(arg) !== null) ? null : text;
    if (value !== null) this.#valueBytes += size;
    this.#waiting = [...this.#waiting, { name: name.slice(0, ForeignSignals.NAME_MAX), value, size, atMs }];
  }

  /** @param bytesMax of JSON. Over it, signals lose their values, and the last ones are only counted */
  toState(bytesMax = Infinity): readonly ForeignSignal[] {
    const kept = valuesWithin(this.#waiting, bytesMax);
    let room = bytesMax - bytesOf(kept);
    for (let last = kept.at(-1); room < 0 && last !== undefined; last = kept.at(-1)) {
      room += bytesOf([last]);
      kept.pop();
    }
    return kept;
  }

  /** The oldest `count` signals are published. */
  published(count: number): void {
    this.#waiting = this.#waiting.slice(count);
    this.#valueBytes = valueBytesOf(this.#waiting);
  }
}

/**
 * Signals for the input of one activity. All stay. If they are too large together, some lose their values, and then all
 * the ends of their names. A replay may come to another result than the run did: Temporal compares no inputs.
 *
 * @param bytesMax of JSON. Kept if there are some 65 bytes for each signal
 */
export function signalsWithin(signals: readonly ForeignSignal[], bytesMax: number): readonly ForeignSignal[] {
  const kept = valuesWithin(signals, bytesMax);
  if (bytesOf(kept) <= bytesMax) return kept;
  const room = bytesMax - bytesOf(kept.map((signal) => ({ ...signal, name: '' })));
  return kept.map((signal) => ({ ...signal, name: beginningOf(signal.name, room / kept.length) }));
}

/** Signals with as many values as fit, the oldest first. */
function valuesWithin(signals: readonly ForeignSignal[], bytesMax: number): ForeignSignal[] {
  let room = bytesMax - bytesOf(signals.map(withoutValue));
  return signals.map((signal) => {
    const bytes = bytesOf([signal]) - bytesOf([withoutValue(signal)]);
    if (bytes > room) return withoutValue(signal);
    room -= bytes;
    return signal;
  });
}

function withoutValue(signal: ForeignSignal): ForeignSignal {
  return { ...signal, value: null };
}

/** @param bytesMax of the text within JSON */
function beginningOf(text: string, bytesMax: number): string {
  let bytes = 0;
  let end = 0;
  for (const character of text) {
    bytes += encodedJsonBytes(character) - QUOTES_BYTES;
    if (bytes > bytesMax) break;
    end += character.length;
  }
  return text.slice(0, end);
}

const QUOTES_BYTES = 2;

function bytesOf(signals: readonly ForeignSignal[]): number {
  return signals.reduce((sum, signal) => sum + encodedJsonBytes(signal) + 1, 0);
}

function valueBytesOf(signals: readonly ForeignSignal[]): number {
  return signals.reduce((sum, { value }) => sum + utf8Bytes(value ?? ''), 0);
}

function utf8Bytes(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Null if that is impossible: a value can be nested more deeply than the stack allows. */
function toJson(args: readonly unknown[]): string | null {
  try {
    return JSON.stringify(args, (_name, value: unknown) =>
      value instanceof Uint8Array ? describeBytes(value) : value,
    );
  } catch {
    return null;
  }
}

function describeBytes(bytes: Uint8Array): { hex: string } | { bytes: number } {
  return bytes.length > ForeignSignals.VALUE_MAX ? { bytes: bytes.length } : { hex: bytesToHex(bytes) };
}
