import { expect, it } from 'vitest';
import { ackHeaders } from '../../../src/protocol/ack.js';
import type { KafkaRecord } from '../../../src/protocol/record.js';
import { record } from '../../support/records.js';

it('echoes the correlation id and the headers asked for byte for byte, the last of several', () => {
  const id = Buffer.from([0, 255, 1, 254]);
  const headers = ackHeaders(
    record(1, {
      headers: [
        ['trace', Buffer.from('old')],
        ['trace', Buffer.from([0xff])],
        ['other', Buffer.from('x')],
        ['kafka_correlationId', id],
        ['empty', null],
      ],
    }),
    ['trace', 'empty', 'absent'],
    undefined,
  );
  expect({ ...headers }).toEqual({ kafka_correlationId: id, trace: Buffer.from([0xff]) });
  expect(ackHeaders(record(1), ['trace'], Buffer.from('{}'))).toBeUndefined();
});

it('tells NestJS’s client of an error by its header, and that the reply is the last one', () => {
  const id = ['kafka_correlationId', Buffer.from('c1')] as const;
  const nest = ['kafka_replyPartition', Buffer.from('0')] as const;
  const spring = ['kafka_replyPartition', Buffer.alloc(4)] as const;
  const of = (headers: KafkaRecord['headers'], rejected: boolean) =>
    ackHeaders(record(1, { headers }), [], rejected ? Buffer.from('{"x":1}') : undefined);
  expect({ ...of([id, nest], true) }).toEqual({ kafka_correlationId: id[1], 'kafka_nest-err': Buffer.from('{"x":1}') });
  expect({ ...of([id, nest], false) }).toEqual({
    kafka_correlationId: id[1],
    'kafka_nest-is-disposed': Buffer.alloc(1),
  });
  expect({ ...of([id, spring], false) }).toEqual({ kafka_correlationId: id[1] });
  expect(of([nest], true)).toBeUndefined();
});
