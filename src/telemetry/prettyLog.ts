import { createRequire } from 'node:module';
import type { build } from 'pino-pretty';

const requireModule = createRequire(import.meta.url);

/** Log lines for people: time, level, message, then the fields. Its library, some 40 files, is loaded when it is called. */
export function pretty(): NodeJS.WritableStream {
  const pinoPretty = requireModule('pino-pretty') as typeof build;
  return pinoPretty({
    colorize: process.stdout.isTTY,
    translateTime: 'SYS:HH:MM:ss',
    messageKey: 'message',
    ignore: 'pid,hostname',
    singleLine: true,
  });
}
