import { Kafka, logLevel, type Admin } from 'kafkajs';

/** Takes the partitions of a topic away from the brokers that lead them, which stay up, and gives them back. */
export class Leaders {
  readonly #admin: Admin;
  readonly #topic: string;
  #before: { readonly partition: number; readonly replicas: number[]; readonly leader: number }[] = [];

  private constructor(admin: Admin, topic: string) {
    this.#admin = admin;
    this.#topic = topic;
  }

  static async connect(brokers: readonly string[], topic: string): Promise<Leaders> {
    const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    return new Leaders(admin, topic);
  }

  /** Each partition loses the copy that leads it. */
  readonly move = async (): Promise<void> => {
    const { topics } = await this.#admin.fetchTopicMetadata({ topics: [this.#topic] });
    const partitions = topics[0]?.partitions ?? [];
    const all = [...new Set(partitions.flatMap(({ replicas }) => replicas))];
    this.#before = partitions.map(({ partitionId, leader }) => ({ partition: partitionId, replicas: all, leader }));
    await this.#assign(
      partitions.map(({ partitionId, leader, replicas }) => ({
        partition: partitionId,
        replicas: replicas.filter((broker) => broker !== leader),
      })),
    );
  };

  /** Partitions that another broker leads than before. */
  readonly moved = async (): Promise<number> => {
    const { topics } = await this.#admin.fetchTopicMetadata({ topics: [this.#topic] });
    const leaders = new Map(topics[0]?.partitions.map(({ partitionId, leader }) => [partitionId, leader]));
    return this.#before.filter(({ partition, leader }) => {
      const now = leaders.get(partition) ?? -1;
      return now >= 0 && now !== leader;
    }).length;
  };

  /** Each partition has its copies again. */
  readonly giveBack = (): Promise<void> =>
    this.#assign(this.#before.map(({ partition, replicas }) => ({ partition, replicas })));

  disconnect(): Promise<void> {
    return this.#admin.disconnect();
  }

  async #assign(partitionAssignment: { partition: number; replicas: number[] }[]): Promise<void> {
    await this.#admin.alterPartitionReassignments({ topics: [{ topic: this.#topic, partitionAssignment }] });
  }
}
