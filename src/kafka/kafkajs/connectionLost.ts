import kafkajs from 'kafkajs';

/** Whether an error of kafkajs says that the connection broke or nothing came on it, not that a broker refused something. */
export function isOfConnection(error: unknown): error is Error {
  return error instanceof kafkajs.KafkaJSConnectionError || error instanceof kafkajs.KafkaJSRequestTimeoutError;
}
