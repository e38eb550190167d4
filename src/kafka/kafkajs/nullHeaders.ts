import { createRequire } from 'node:module';
import { internalModule, type Repairable } from './internals.js';
import { mustBeKnown } from './repairs.js';

/**
 * Stands for a header without a value in messages for kafkajs. kafkajs throws when it counts the bytes of `null`. It
 * counts one byte for an empty value, which is also what `null` takes in a record.
 */
export const NULL_HEADER: Buffer = Buffer.alloc(0);

/** `protocol/encoder` of kafkajs, which writes requests. */
interface Encoder {
  writeVarIntBytes(value: unknown): Encoder;
}

let repaired = false;

/**
 * Makes kafkajs, in this process, write {@link NULL_HEADER} as a header without a value. A second call does nothing.
 *
 * @throws KafkajsVersionError
 */
export function writeNullHeaders(): void {
  if (repaired) return;
  const requireModule = createRequire(import.meta.url);
  mustBeKnown((requireModule('kafkajs/package.json') as { version: string }).version);
  const { prototype } = internalModule('protocol/encoder') as Repairable<Encoder>;
  const write: (this: Encoder, value: unknown) => Encoder = Reflect.get(prototype, 'writeVarIntBytes');
  prototype.writeVarIntBytes = function (value) {
    return write.call(this, value === NULL_HEADER ? null : value);
  };
  repaired = true;
}
