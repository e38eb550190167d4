import type { Publisher } from '../../kafka/publisher.js';
import { placeOf, type Letter } from './letters.js';
import type { Portion, Replay } from './waitingReplays.js';

/** Letters that a topic refused and that are named, at most. */
const REFUSED_SHOWN = 100;

/** What became of the dead letters of one replay. */
export class ReplayReport {
  readonly #dryRun: boolean;
  readonly #readAgain: (topic: string) => readonly string[];
  /** Records that a topic has taken, by topic. */
  readonly #replayed = new Map<string, number>();
  /** Letters that cannot be replayed, by the obstacle. */
  readonly #left = new Map<string, number>();
  /** Place of the letter and its record, and why the topic refused it. */
  readonly #refused: string[] = [];
  #refusals = 0;
  #passedOver = 0;
  /** By partition, the first letter that was passed over since the last portion: its record may be in the next one. */
  readonly #firstPassedOver = new Map<number, number>();
  /** By partition of the dead-letter topic, the last letter before which nothing is left to be replayed. */
  readonly #last: Map<number, number>;
  /** Records that a topic has taken although letters before theirs were not replayed. */
  #takenAhead = 0;
  #isUnfinished = false;
  /** Set if publishing failed: records that the topic may have or not. */
  #unknown: { readonly topic: string; readonly records: number; readonly first: string } | null = null;

  /**
   * @param readAgain see `readAgainText`
   * @param after see `parseAfter`
   */
  constructor(
    dryRun: boolean,
    readAgain: (topic: string) => readonly string[],
    after: ReadonlyMap<number, number> = new Map(),
  ) {
    this.#readAgain = readAgain;
    this.#last = new Map(after);
    this.#dryRun = dryRun;
  }

  /** @throws PublishError */
  async publish(publisher: Publisher, portion: Portion): Promise<void> {
    const all = [...portion.values()].flat();
    const open = new Set(all);
    const refused = new Set<Replay>();
    try {
      for (const [topic, messages] of portion) await this.#publishTo(publisher, topic, messages, { open, refused });
    } finally {
      // A later letter, of another topic or for another partition, may have been faster than one that failed. A further
      // letter of a record that failed must not count as done, or the record would count as replayed with it.
      const firstOpen = new Map(open.size > 0 ? this.#firstPassedOver : []);
      for (const { letter } of open) noteFirst(firstOpen, letter);
      this.#firstPassedOver.clear();
      for (const message of all) {
        const { partition, record } = message.letter;
        if (record.offset < (firstOpen.get(partition) ?? Infinity))
          this.#last.set(partition, Math.max(this.#last.get(partition) ?? -1, record.offset));
        else if (!open.has(message) && !refused.has(message)) this.#takenAhead++;
      }
    }
  }

  async #publishTo(
    publisher: Publisher,
    topic: string,
    messages: readonly Replay[],
    { open, refused }: { readonly open: Set<Replay>; readonly refused: Set<Replay> },
  ): Promise<void> {
    try {
      await publisher.publishEach(topic, messages, {
        taken: (some) => {
          for (const message of some) open.delete(message);
          this.replayed(topic, some.length);
        },
        refused: (message, reason) => {
          open.delete(message);
          refused.add(message);
          this.#refusals++;
          const { partition, record } = message.letter;
          const text = `${placeOf(message.letter)} (dead letter ${partition}/${record.offset}): topic ${topic} refuses it: ${reason}`;
          if (this.#refused.length < REFUSED_SHOWN) this.#refused.push(text);
        },
      });
    } finally {
      const unknown = messages.filter((message) => open.has(message));
      const [first] = unknown;
      if (first !== undefined) this.#unknown = { topic, records: unknown.length, first: placeOf(first.letter) };
    }
  }

  replayed(topic: string, records: number): void {
    count(this.#replayed, topic, records);
  }

  left(obstacle: string): void {
    count(this.#left, obstacle);
  }

  /** A signal or an error has ended it, or not all could be read. What was not replayed is not in the report. */
  isUnfinished(): void {
    this.#isUnfinished = true;
  }

  /** A further dead letter of a record. */
  passedOver(letter: Letter): void {
    this.#passedOver++;
    noteFirst(this.#firstPassedOver, letter);
  }

  get isEmpty(): boolean {
    return this.#replayed.size === 0 && this.#left.size === 0 && this.#refusals === 0;
  }

  get isWhole(): boolean {
    return this.#left.size === 0 && this.#refusals === 0;
  }

  print(): void {
    const did = this.#dryRun ? 'would be replayed' : 'replayed';
    for (const [topic, records] of this.#replayed) {
      console.log(`${records} ${did} to ${topic}`);
      for (const text of this.#readAgain(topic)) console.log(text);
    }
    if (this.#unknown !== null) {
      const { topic, records, first } = this.#unknown;
      console.log(`${records} more may have been replayed to ${topic}, from ${first} on: see the error`);
    }
    if (this.#passedOver > 0) console.log(`${this.#passedOver} passed over: further dead letters of the same records`);
    for (const [obstacle, records] of this.#left) console.log(`${records} left: ${obstacle}`);
    for (const text of this.#refused) console.log(`left: ${text}`);
    const more = this.#refusals - this.#refused.length;
    if (more > 0) console.log(`${more} more left, which their topics refuse`);
    this.#printHowToGoOn();
  }

  #printHowToGoOn(): void {
    const options = this.#dryRun ? [] : [...this.#last].map(([partition, offset]) => ` --after ${partition}/${offset}`);
    if (!this.#isUnfinished) {
      if (this.#replayed.size > 0 && options.length > 0)
        console.log(
          `The same command would make these rows twice. To replay only later dead letters next time${this.#refusals > 0 ? ', and none that its topic refused' : ''}, repeat it with${options.join('')}`,
        );
      return;
    }
    if (options.length > 0)
      console.log(
        `not all was looked at. The same command would begin anew, and make rows twice. To go on, repeat it with${options.join('')}`,
      );
    else console.log('not all was looked at. To go on, repeat the command');
    if (this.#takenAhead > 0)
      console.log(`${this.#takenAhead} of those that were replayed will be replayed again then, and become rows twice`);
  }
}

/** Keeps the lowest offset of each partition. */
function noteFirst(first: Map<number, number>, { partition, record }: Letter): void {
  first.set(partition, Math.min(first.get(partition) ?? Infinity, record.offset));
}

function count(counts: Map<string, number>, name: string, more = 1): void {
  counts.set(name, (counts.get(name) ?? 0) + more);
}
