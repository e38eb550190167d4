import { createRequire } from 'node:module';
import { ACTIVITY_CONVERTER } from './encryption.js';

/** What the payloads of activities are encrypted for. */
interface ActivityPurposes {
  /** What a value was encrypted for. Null if it was not. */
  readonly purposeOf: (value: unknown) => string | null;
  /** Says what a value is for, before it is encrypted. */
  readonly intend: <T extends object>(value: T, purpose: string) => T;
}

/** The SDK loads the converter in the same way, so it is the same instance. */
export const { purposeOf, intend } = createRequire(import.meta.url)(ACTIVITY_CONVERTER) as ActivityPurposes;
