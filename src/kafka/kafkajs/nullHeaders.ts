import { createRequire } from 'node:module';
import { mustBeKnown } from './repairs.js';

/**
 * Stands for a header without a value in what kafkajs publishes: it cannot count the bytes of `null`, and throws. As many
 * bytes as `null` takes in a record, one, are counted for an empty value.
 */
export const NULL_HEADER: Buffer = Buffer.alloc(0);

/** `protocol/encoder` of kafkajs: what requests are written with. */
interface Encoder {
  writeVarIntBytes(value: unknown): Encoder;
}

let repaired = false;

/**
 * From here on kafkajs, in this process, writes {@link NULL_HEADER} as a header without a value. Idempotent.
 *
 * @throws KafkajsVersionError
 */
export function writeNullHeaders(): void {
  if (repaired) return;
  const requireModule = createRequire(import.meta.url);
  mustBeKnown((requireModule('kafkajs/package.json') as { version: string }).version);
  const { prototype } = requireModule('kafkajs/src/protocol/encoder') as { readonly prototype: Encoder };
  const write: (this: Encoder, value: unknown) => Encoder = Reflect.get(prototype, 'writeVarIntBytes');
  prototype.writeVarIntBytes = function (value) {
    return write.call(this, value === NULL_HEADER ? null : value);
  };
  repaired = true;
}
