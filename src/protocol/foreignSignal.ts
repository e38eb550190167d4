/** A signal to a batcher that no part of this product sends. So much of it is kept for its dead letter. */
export interface ForeignSignal {
  /** The beginning of its name. */
  readonly name: string;
  /** Its arguments as a JSON array. Null if they are too large to be kept, or one came encrypted. */
  readonly value: string | null;
  /**
   * Bytes of the whole JSON in UTF-8. If a batcher of version 0.1.0 kept the signal: its characters. 0 if the arguments
   * cannot be written as JSON.
   */
  readonly size: number;
  /** Workflow time, milliseconds since 1970. */
  readonly atMs: number;
}

/** Foreign signals to one batcher, on their way to the dead-letter topic. */
export interface ForeignSignalBatch {
  readonly pipeline: string;
  /** Workflow id of the batcher. */
  readonly batcher: string;
  readonly deadLetterTopic: string;
  /** See `BatchSpec.sealed`. */
  readonly sealed?: true;
  readonly signals: readonly ForeignSignal[];
}
