import type { Logger } from '../telemetry/logging.js';
import { asError } from '../lib/asError.js';

export interface UnhandledErrors {
  readonly logger: Pick<Logger, 'error'>;
  /** An error of kafkajs. It concerns one request or connection, and whoever waits for that has a time-out. */
  readonly ofKafkajs: () => void;
  /** Any other error. After it the state of this process cannot be trusted. */
  readonly fatal: (error: Error) => void;
}

/**
 * Catches the errors for which Node would end the process, with all pipelines: rejections that nobody handles, and
 * errors thrown in a timer or in a socket's event. kafkajs has such places (a crash while it handles a crash, an answer
 * that comes twice). They are logged and counted only.
 *
 * @returns stops catching them
 */
export function takeUnhandledErrors({ logger, ofKafkajs, fatal }: UnhandledErrors): () => void {
  const take = (thrown: unknown): void => {
    const error = asError(thrown);
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

/** Whether an error was thrown or created by kafkajs. */
function isOfKafkajs({ name, stack = '' }: Error): boolean {
  const thrownAt = stack.split('\n').find((line) => /^\s+at /.test(line) && !line.includes('node:')) ?? '';
  return name.startsWith('KafkaJS') || /[\\/]node_modules[\\/]kafkajs[\\/]/.test(thrownAt);
}
