/** How records are fetched. Everything that is compared with the consumer uses the same options. */
export const FETCH_OPTIONS = {
  /**
   * How long a fetch waits for data, in milliseconds. A partition that is resumed waits up to this time for the next
   * fetch. So it must be well below the time in which the consumer empties half of its buffer.
   */
  maxWaitTimeInMs: 500,
  /**
   * Bytes fetched of a partition at a time. With kafkajs's default of a megabyte, more would wait in memory to be
   * decoded, and be fetched again after each pause.
   */
  maxBytesPerPartition: 256 * 1024,
  /**
   * Bytes of one fetch over all partitions of a broker. They stay in memory until all of them are decoded. kafkajs asks
   * for the partitions in another order each time, so each of them gets its turn.
   */
  maxBytes: 4 * 1024 * 1024,
} as const;
