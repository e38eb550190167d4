import { Kafka, logLevel, type Admin } from 'kafkajs';

/** Takes the partitions of a topic away from the brokers that lead them, which stay up, and gives them back. */
export class Leaders {
  readonly #admin: Admin;
  readonly #topic: string;
  #before: { readonly partition: number; readonly replicas: number[] }[] = [];

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
    this.#before = partitions.map(({ partitionId }) => ({ partition: partitionId, replicas: all }));
    await this.#assign(
      partitions.map(({ partitionId, leader, replicas }) => ({
        partition: partitionId,
        replicas: replicas.filter((broker) => broker !== leader),
      })),
    );
  };

  /** Each partition has its copies again. */
  readonly giveBack = (): Promise<void> => this.#assign(this.#before);

  disconnect(): Promise<void> {
    return this.#admin.disconnect();
  }

  async #assign(partitionAssignment: { partition: number; replicas: number[] }[]): Promise<void> {
    await this.#admin.alterPartitionReassignments({ topics: [{ topic: this.#topic, partitionAssignment }] });
  }
}
