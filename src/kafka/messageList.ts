import { NULL_LENGTH } from '../protocol/packedRecord.js';
import type { OutgoingMessage } from './outgoingMessage.js';
import { PackedMessage } from './packedMessage.js';

/**
 * Messages in order, which need not be objects: most are read once, to be written into a request. A message becomes an
 * object if it is asked for by its index, for example because a topic has refused it.
 */
export abstract class MessageList<Sent extends OutgoingMessage = OutgoingMessage> implements Iterable<Sent> {
  abstract readonly length: number;

  /** Fills `message`. It is good until this list fills one again. */
  abstract fill(index: number, message: PackedMessage): void;

  /** The message as an object. */
  abstract at(index: number): Sent;

  *[Symbol.iterator](): Iterator<Sent> {
    for (let index = 0; index < this.length; index++) yield this.at(index);
  }

  slice(from: number, to: number): MessageList<Sent> {
    return from === 0 && to === this.length ? this : new Slice(this, from, to);
  }

  /** Whether a message has no key. */
  hasKeyless(): boolean {
    const message = new PackedMessage();
    for (let index = 0; index < this.length; index++) {
      this.fill(index, message);
      if (message.keyLength === NULL_LENGTH) return true;
    }
    return false;
  }
}

/** Messages that are objects. */
export class MessageArray<Sent extends OutgoingMessage> extends MessageList<Sent> {
  readonly #messages: readonly Sent[];

  constructor(messages: readonly Sent[]) {
    super();
    this.#messages = messages;
  }

  get length(): number {
    return this.#messages.length;
  }

  fill(index: number, message: PackedMessage): void {
    message.fill(this.at(index));
  }

  at(index: number): Sent {
    return this.#messages[index] as Sent;
  }
}

class Slice<Sent extends OutgoingMessage> extends MessageList<Sent> {
  readonly length: number;
  readonly #list: MessageList<Sent>;
  readonly #from: number;

  constructor(list: MessageList<Sent>, from: number, to: number) {
    super();
    this.length = to - from;
    this.#list = list;
    this.#from = from;
  }

  fill(index: number, message: PackedMessage): void {
    this.#list.fill(this.#from + index, message);
  }

  at(index: number): Sent {
    return this.#list.at(this.#from + index);
  }
}
