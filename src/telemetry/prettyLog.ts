import { default as pinoPretty } from 'pino-pretty';

/** Log lines for people: time, level, message, then the fields. */
export function pretty(): NodeJS.WritableStream {
  return pinoPretty({
    colorize: process.stdout.isTTY,
    translateTime: 'SYS:HH:MM:ss',
    messageKey: 'message',
    ignore: 'pid,hostname',
    singleLine: true,
  });
}
