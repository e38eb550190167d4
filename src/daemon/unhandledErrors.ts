import type { Logger } from '../telemetry/logging.js';

export interface UnhandledErrors {
  readonly logger: Pick<Logger, 'error'>;
  /** One of kafkajs: it concerns a request or a connection, and whoever waits for it has a time-out. */
  readonly ofKafkajs: () => void;
  /** Any other: nobody knows what is still true in this process. */
  readonly fatal: (error: Error) => void;
}

/**
 * Takes what Node would end the process for, with every pipeline: rejections that nobody handles, and errors thrown out of a
 * timer or a socket's event. kafkajs has such places (a crash while a crash is handled, an answer that comes twice), and none
 * of them is worth more than a log line.
 *
 * @returns stops it
 */
export function takeUnhandledErrors({ logger, ofKafkajs, fatal }: UnhandledErrors): () => void {
  const take = (thrown: unknown): void => {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    const { message, stack } = error;
    if (isOfKafkajs(error)) {
      logger.error({ error: message, stack }, 'An error inside kafkajs reached nobody; the daemon goes on');
      ofKafkajs();
    } else {
      logger.error({ error: message, stack }, 'An error reached nobody');
      fatal(error);
    }
  };
  process.on('unhandledRejection', take);
  process.on('uncaughtException', take);
  return () => {
    process.off('unhandledRejection', take);
    process.off('uncaughtException', take);
  };
}

/** Thrown by kafkajs, or made by it. */
function isOfKafkajs({ name, stack = '' }: Error): boolean {
  const thrownAt = stack.split('\n').find((line) => /^\s+at /.test(line) && !line.includes('node:')) ?? '';
  return name.startsWith('KafkaJS') || /[\\/]node_modules[\\/]kafkajs[\\/]/.test(thrownAt);
}
