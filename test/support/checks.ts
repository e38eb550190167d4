import type { Finding } from '../../src/commands/check/finding.js';
import { parseConfig } from '../../src/config/load.js';

/** A pipeline of topic orders, with replies and a mapped column. */
export const pipeline = (more = '', customerFrom = '/who') =>
  parseConfig(
    `pipelines: { orders: { topics: [orders], table: orders, reply: { topic: replies }, columns: { customer: '${customerFrom}' } ${more} } }`,
    'ktb.yaml',
    {},
  ).pipelines[0]!;

/** The findings that are not ok, a line each. */
export const summary = (findings: Finding[]) =>
  findings.filter(({ level }) => level !== 'ok').map(({ level, subject, message }) => `${level} ${subject} ${message}`);
