import type { PipelineConfig, SignalLimits } from '../../config/config.js';
import { groupBy } from '../../lib/groupBy.js';
import type { Layout } from '../../protocol/layout.js';
import type { BatcherSettings } from '../../protocol/settings.js';
import type { KafkaRecord } from '../../protocol/record.js';
import type { BatcherClient } from '../../temporal/batcherClient.js';
import { lingerBytesMax } from './backpressure.js';
import { inColumns, Lane } from './lane.js';
import { keylessIndex, laneIndex, type PointedValue } from '../../codecs/laneIndex.js';
import { LaneSender, type LaneObserver } from './laneSender.js';
import type { PartitionTracker } from '../partitions/tracker.js';

/**
 * The lanes of one layout, each with its sender. Normally there is one layout; two while partitions go over to another
 * one.
 */
export class Lanes {
  readonly layout: Layout;
  readonly all: readonly Lane[];
  readonly batchers: readonly BatcherClient[];
  readonly #pipeline: Pick<PipelineConfig, 'signal'>;
  /** The limits by which the lanes linger now. */
  #signal: SignalLimits;
  #members = 1;
  #hurries = false;
  readonly #senders: readonly LaneSender[];
  readonly #runs: readonly Promise<void>[];

  /** The senders start at once. */
  constructor(
    layout: Layout,
    pipeline: PipelineConfig,
    batcherOf: (index: number) => BatcherClient,
    observe: (lane: Lane, batcher: BatcherClient) => LaneObserver,
    settings: () => BatcherSettings,
  ) {
    this.layout = layout;
    this.#pipeline = pipeline;
    this.#signal = pipeline.signal;
    const lingerMemoryBytesMax = lingerBytesMax(pipeline.bufferedBytesMax, layout.batchers);
    const limits = {
      get maxRecords() {
        return pipeline.signal.maxRecords;
      },
      get maxBytes() {
        return pipeline.signal.maxBytes;
      },
      get lingerMs() {
        return pipeline.signal.lingerMs;
      },
      lingerMemoryBytesMax,
    };
    this.all = Array.from({ length: layout.batchers }, (_, index) => new Lane(index, limits));
    this.batchers = this.all.map(({ index }) => batcherOf(index));
    this.#senders = this.all.map((lane, index) => {
      const batcher = this.batchers[index] as BatcherClient;
      const { flow } = pipeline;
      return new LaneSender({ lane, batcher, flow, settings, observer: observe(lane, batcher) });
    });
    this.#runs = this.#senders.map((sender) => sender.run());
  }

  get records(): number {
    return this.all.reduce((sum, lane) => sum + lane.records, 0);
  }

  /** Bytes that the records take in this process's memory. */
  get memoryBytes(): number {
    return this.all.reduce((sum, lane) => sum + lane.memoryBytes, 0);
  }

  /** The oldest of the first waiting records of all lanes, see {@link Lane.firstTimestampMs}. */
  get firstTimestampMs(): number | null {
    const times = this.all.flatMap(({ firstTimestampMs }) => firstTimestampMs ?? []);
    return times.length === 0 ? null : Math.min(...times);
  }

  /**
   * Hands records of a partition over, in order.
   *
   * @param pointed what the layout's pointer leads to in each, if their values have to be decoded for that
   */
  handOver(tracker: PartitionTracker, records: readonly KafkaRecord[], pointed?: readonly PointedValue[]): void {
    if (this.#pipeline.signal !== this.#signal) this.#setLinger();
    const nowMs = performance.now();
    const keyless = keylessIndex(tracker, this.layout);
    let index = 0;
    const byLane = groupBy(records, (record) => laneIndex(record, keyless, this.layout, pointed?.[index++]));
    // Copying may find no memory. Then no lane may have any of them.
    const added = Array.from(byLane, ([index, own]) => [index, inColumns(own)] as const);
    for (const [index, columns] of added) {
      (this.all[index] as Lane).add(tracker, columns, nowMs);
      (this.#senders[index] as LaneSender).wake();
    }
  }

  /** How many members of the group send to the same batchers, this one included. */
  setMembers(members: number): void {
    this.#members = members;
    this.#setLinger();
    for (const sender of this.#senders) {
      sender.setMembers(members);
      sender.wake();
    }
  }

  /** Sends at once what waits and arrives, or, with false, lets it wait for more again. */
  hurry(hurries: boolean): void {
    this.#hurries = hurries;
    this.#setLinger();
    for (const sender of this.#senders) sender.wake();
  }

  #setLinger(): void {
    this.#signal = this.#pipeline.signal;
    const { lingerMs, sharedLingerMs } = this.#signal;
    const waitMs = this.#members > 1 ? sharedLingerMs : lingerMs;
    for (const lane of this.all) lane.lingerMs = this.#hurries ? 0 : waitMs;
  }

  clear(): void {
    for (const lane of this.all) lane.clear();
  }

  /** Ends the senders after the signals in flight. */
  async end(): Promise<void> {
    for (const sender of this.#senders) sender.end();
    await Promise.all(this.#runs);
  }
}
