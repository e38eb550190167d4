import { createHash } from 'node:crypto';
import type { KeysByName } from './decryption.js';
import type { Random } from './random.js';

/** The keys by which the daemons of a run encrypt what lies in Temporal. The first one is there from the begin, or comes later. */
export class Keys {
  readonly #seed: number;
  readonly #beginsEncrypted: boolean;
  readonly #names: string[] = [];
  #active: string | undefined;

  constructor(random: Random) {
    this.#seed = random.between(0, 1_000_000);
    this.#beginsEncrypted = random.next() < 0.5;
    if (this.#beginsEncrypted) {
      this.add();
      this.activate();
    }
  }

  /** Everybody can read what is encrypted by it, from now on. */
  add(): void {
    this.#names.push(`k${this.#names.length + 1}`);
  }

  /** Everybody encrypts by the last one, from now on. */
  activate(): void {
    this.#active = this.#names.at(-1);
  }

  /** The name of the key by which is encrypted; undefined if nothing is. */
  get active(): string | undefined {
    return this.#active;
  }

  /** `temporal.encryption` of the configuration; undefined without keys. What is not encrypted is refused in a run that begins with a key. */
  get configuration(): object | undefined {
    if (this.#names.length === 0) return undefined;
    return {
      keys: Object.fromEntries([...this.all].map(([name, bytes]) => [name, bytes.toString('base64')])),
      ...(this.#active === undefined ? {} : { active: this.#active }),
      ...(this.#beginsEncrypted ? { required: true } : {}),
    };
  }

  get all(): KeysByName {
    return new Map(this.#names.map((name) => [name, createHash('sha256').update(`${this.#seed} ${name}`).digest()]));
  }
}
