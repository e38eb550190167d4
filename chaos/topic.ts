import { Kafka, logLevel, type Admin } from 'kafkajs';

/** The input topic of a run, to be changed by faults. Calls throw while no broker answers. */
export class InputTopic {
  readonly #admin: Admin;
  readonly #name: string;

  private constructor(admin: Admin, name: string) {
    this.#admin = admin;
    this.#name = name;
  }

  static async connect(brokers: readonly string[], name: string): Promise<InputTopic> {
    const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    return new InputTopic(admin, name);
  }

  async partitions(): Promise<number> {
    const { topics } = await this.#admin.fetchTopicMetadata({ topics: [this.#name] });
    return topics[0]?.partitions.length ?? 0;
  }

  /** Does nothing if there are as many. */
  async extend(partitions: number): Promise<void> {
    if ((await this.partitions()) >= partitions) return;
    await this.#admin.createPartitions({ topicPartitions: [{ topic: this.#name, count: partitions }] });
  }

  disconnect(): Promise<void> {
    return this.#admin.disconnect();
  }
}
