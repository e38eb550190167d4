/** How records are fetched; the same for everything that is compared with the consumer. */
export const FETCH_OPTIONS = {
  /**
   * How long a fetch waits for data, in milliseconds. Also how long a partition that may go on waits for the next fetch,
   * so that it must stay well below the time that half of the buffer lasts.
   */
  maxWaitTimeInMs: 500,
  /**
   * Bytes fetched of a partition at a time. kafkajs decodes all that a fetch brings in one go, and nothing else runs
   * meanwhile: a megabyte each, its default, stops the process for a third of a second with eight partitions.
   */
  maxBytesPerPartition: 256 * 1024,
  /** Bytes of one fetch over all partitions. Brokers fill it in the order asked, so it has to have room for many. */
  maxBytes: 16 * 1024 * 1024,
} as const;
