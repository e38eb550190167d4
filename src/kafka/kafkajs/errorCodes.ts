import { internalModule } from './internals.js';

/** kafkajs's error for an error code of Kafka's protocol. */
export interface KafkaError extends Error {
  /** Kafka's name for it, for example NOT_LEADER_FOR_PARTITION. */
  readonly type: string;
  readonly code: number;
  readonly retriable: boolean;
}

export function errorOfCode(code: number): KafkaError {
  const { createErrorFromCode } = internalModule('protocol/error') as {
    createErrorFromCode: (code: number) => KafkaError;
  };
  return createErrorFromCode(code);
}
