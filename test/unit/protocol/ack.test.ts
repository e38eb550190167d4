import { expect, it } from 'vitest';
import { ackHeaders, ackValues, REJECTION_CODES } from '../../../src/protocol/ack.js';
import type { KafkaRecord } from '../../../src/protocol/record.js';
import { record } from '../../support/records.js';

const source = { topic: 'or"ders', partition: 3 };

it('writes acknowledgements as JSON, whatever topics and messages contain', () => {
  expect(JSON.parse(ackValues(source, 'inserted', 'b1')(42))).toEqual({
    status: 'inserted',
    topic: 'or"ders',
    partition: 3,
    offset: 42,
    batch: 'b1',
  });
  const rejection = { code: REJECTION_CODES.notJson, message: 'say "no"\n' };
  expect(JSON.parse(ackValues(source, 'rejected', 'b1')(42, rejection))).toMatchObject({
    ...rejection,
    status: 'rejected',
  });
});

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
    false,
    '{}',
  );
  expect({ ...headers }).toEqual({ kafka_correlationId: id, trace: Buffer.from([0xff]) });
  expect(ackHeaders(record(1), ['trace'], true, '{}')).toBeUndefined();
});

it('tells NestJS’s client of an error by its header, and that the reply is the last one', () => {
  const id = ['kafka_correlationId', Buffer.from('c1')] as const;
  const nest = ['kafka_replyPartition', Buffer.from('0')] as const;
  const spring = ['kafka_replyPartition', Buffer.alloc(4)] as const;
  const of = (headers: KafkaRecord['headers'], rejected: boolean) =>
    ackHeaders(record(1, { headers }), [], rejected, '{"x":1}');
  expect({ ...of([id, nest], true) }).toEqual({ kafka_correlationId: id[1], 'kafka_nest-err': Buffer.from('{"x":1}') });
  expect({ ...of([id, nest], false) }).toEqual({
    kafka_correlationId: id[1],
    'kafka_nest-is-disposed': Buffer.alloc(1),
  });
  expect({ ...of([id, spring], false) }).toEqual({ kafka_correlationId: id[1] });
  expect(of([nest], true)).toBeUndefined();
});
