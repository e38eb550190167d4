import { bytesToHex } from '@noble/hashes/utils.js';
import type { ForeignSignal } from '../protocol/foreignSignal.js';
import { encodedJsonBytes } from './jsonBytes.js';

/**
 * Foreign signals that wait for the dead-letter topic. Pure. They are bounded, because they travel in an activity's
 * input and over continue-as-new. A large signal, or one too many, is kept without its value. A flood is only counted.
 */
export class ForeignSignals {
  /** Signals waiting. */
  static readonly WAITING_MAX = 500;
  /** Characters of a signal's arguments. */
  static readonly VALUE_MAX = 64 * 1024;
  /** Characters of the arguments of all that wait. */
  static readonly VALUES_MAX = 128 * 1024;
  /** Characters of a signal's name. */
  static readonly NAME_MAX = 200;

  #waiting: readonly ForeignSignal[];
  #characters: number;

  constructor(waiting: readonly ForeignSignal[] = []) {
    this.#waiting = waiting;
    this.#characters = charactersOf(waiting);
  }

  get waiting(): readonly ForeignSignal[] {
    return this.#waiting;
  }

  add(name: string, args: readonly unknown[], atMs: number): void {
    if (this.#waiting.length >= ForeignSignals.WAITING_MAX) return;
    const text = toJson(args);
    const room = Math.min(ForeignSignals.VALUE_MAX, ForeignSignals.VALUES_MAX - this.#characters);
    const value = text === null || text.length > room ? null : text;
    this.#characters += value?.length ?? 0;
    const size = text?.length ?? 0;
    this.#waiting = [...this.#waiting, { name: name.slice(0, ForeignSignals.NAME_MAX), value, size, atMs }];
  }

  /** @param bytesMax of JSON. Over it, signals lose their values, and the last ones are only counted */
  toState(bytesMax = Infinity): readonly ForeignSignal[] {
    let room = bytesMax - this.#waiting.reduce((sum, signal) => sum + bytesOf({ ...signal, value: null }), 0);
    const kept = this.#waiting.map((signal) => {
      const bytes = bytesOf(signal) - bytesOf({ ...signal, value: null });
      if (bytes > room) return { ...signal, value: null };
      room -= bytes;
      return signal;
    });
    for (let last = kept.at(-1); room < 0 && last !== undefined; last = kept.at(-1)) {
      room += bytesOf(last);
      kept.pop();
    }
    return kept;
  }

  /** The oldest `count` signals are published. */
  published(count: number): void {
    this.#waiting = this.#waiting.slice(count);
    this.#characters = charactersOf(this.#waiting);
  }
}

function bytesOf(signal: ForeignSignal): number {
  return encodedJsonBytes(signal) + 1;
}

function charactersOf(signals: readonly ForeignSignal[]): number {
  return signals.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
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
