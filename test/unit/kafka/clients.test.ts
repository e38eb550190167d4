import { pino } from 'pino';
import { expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/load.js';
import { createKafka, followLogLevel } from '../../../src/kafka/clients.js';

it('what kafkajs logs follows the level of the log, also for clients that were made before', () => {
  const { kafka: config } = parseConfig('pipelines: { orders: { topics: [orders], table: orders } }', 'ktb.yaml', {});
  const logged: string[] = [];
  const write = (line: string): void => void logged.push((JSON.parse(line) as { msg: string }).msg);
  const logger = pino({ level: 'info' }, { write });
  const kafka = createKafka(config, logger);
  const ofClient = kafka.consumer({ groupId: 'g' }).logger();
  ofClient.info('one');
  logger.level = 'debug';
  ofClient.info('two');
  followLogLevel(kafka, logger);
  ofClient.info('three');
  expect(logged).toEqual(['kafkajs: three']);
});
