import { Kafka, logLevel, type Admin } from 'kafkajs';

/** Offsets of one partition, `to` excluded. */
export interface Offsets {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

/** Where the copies of a partition are, by the brokers' numbers. */
export interface Copies {
  /** -1 if there is none. */
  readonly leader: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
}

/** The input topic of a run, to be changed by faults. Calls throw while no broker answers. */
export class InputTopic {
  readonly #brokers: readonly string[];
  readonly #admin: Admin;
  readonly #name: string;
  readonly #group: string;

  private constructor(brokers: readonly string[], admin: Admin, name: string, group: string) {
    this.#brokers = brokers;
    this.#admin = admin;
    this.#name = name;
    this.#group = group;
  }

  static async connect(brokers: readonly string[], name: string, group: string): Promise<InputTopic> {
    const admin = new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    return new InputTopic(brokers, admin, name, group);
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

  /** What the group has committed of a partition, -1 if nothing. */
  async committed(partition: number): Promise<number> {
    const topics = await this.#admin.fetchOffsets({ groupId: this.#group, topics: [this.#name] });
    return Number(topics[0]?.partitions.find((each) => each.partition === partition)?.offset ?? -1);
  }

  /** What the group has committed of all partitions together. */
  async committedInAll(): Promise<number> {
    const topics = await this.#admin.fetchOffsets({ groupId: this.#group, topics: [this.#name] });
    return (topics[0]?.partitions ?? []).reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0);
  }

  /** Where the logs of a topic end, all together. */
  async endOf(topic: string): Promise<number> {
    const offsets = await this.#admin.fetchTopicOffsets(topic);
    return offsets.reduce((sum, { high }) => sum + Number(high), 0);
  }

  /** The first offset that a partition has, and the one after the last. */
  async ends(partition: number): Promise<Offsets> {
    const offsets = await this.#admin.fetchTopicOffsets(this.#name);
    const found = offsets.find((each) => each.partition === partition);
    return { partition, from: Number(found?.low ?? 0), to: Number(found?.high ?? 0) };
  }

  async copies(partition: number): Promise<Copies> {
    const { topics } = await this.#admin.fetchTopicMetadata({ topics: [this.#name] });
    const found = topics[0]?.partitions.find(({ partitionId }) => partitionId === partition);
    return { leader: found?.leader ?? -1, replicas: found?.replicas ?? [], isr: found?.isr ?? [] };
  }

  /** Begins to give a partition copies on these brokers only. The first one should lead. */
  async assign(partition: number, replicas: readonly number[]): Promise<void> {
    await this.#admin.alterPartitionReassignments({
      topics: [{ topic: this.#name, partitionAssignment: [{ partition, replicas: [...replicas] }] }],
    });
  }

  /** Deletes the records of a partition before an offset, as retention does. */
  async removeBefore(partition: number, offset: number): Promise<void> {
    await this.#admin.deleteTopicRecords({ topic: this.#name, partitions: [{ partition, offset: String(offset) }] });
  }

  /** The same with a new client: an old one does not know of partitions that were added, for some minutes. */
  again(): Promise<InputTopic> {
    return InputTopic.connect(this.#brokers, this.#name, this.#group);
  }

  disconnect(): Promise<void> {
    return this.#admin.disconnect();
  }
}
