import { expect, it } from 'vitest';
import { Daemon } from '../support/daemon.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { requestWithNest } from '../support/nestClient.js';
import { requestWithSpring } from '../support/springClient.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
let fixture: Fixture;

async function start(options: FixtureOptions, allowed: (fixture: Fixture) => string): Promise<string> {
  fixture = await Fixture.create(stack(), options);
  const replyTopic = allowed(fixture);
  await fixture.createTopic(replyTopic, 4);
  await Daemon.start(fixture.config({ reply: { topic: fixture.replyTopic, allowTopics: [replyTopic] } }));
  return replyTopic;
}

it('Spring Kafka’s ReplyingKafkaTemplate works as it is: by its group, and on a partition of its own', async () => {
  const replyTopic = await start({}, ({ name }) => `${name}.spring`);
  const values = ['{"id": 1, "text": "one"}', 'not json', '{"id": 2, "text": "two"}'];
  const request = { brokers: stack().kafka.brokers, topic: fixture.topic, replyTopic, values };
  const expected = [
    { status: 'inserted', topic: fixture.topic },
    { status: 'rejected', code: 'not_json' },
    { status: 'inserted', topic: fixture.topic },
  ];
  const anywhere = await requestWithSpring({ ...request, partition: -1 });
  expect(anywhere.map(({ value }) => value)).toMatchObject(expected);
  const onTwo = await requestWithSpring({ ...request, partition: 2 });
  expect(onTwo.map(({ value }) => value)).toMatchObject(expected);
  expect(onTwo.every(({ partition }) => partition === 2)).toBe(true);
  expect((await fixture.rowCounts()).rows).toBe(4);
});

it('NestJS’s ClientKafka works as it is: a reply ends the observable, a rejection is an error', async () => {
  await start({}, ({ topic }) => `${topic}.reply`);
  const brokers = stack().kafka.brokers;
  const values = [
    { id: 1, text: 'one' },
    { id: 1, text: 'one', _offset: 5 },
  ];
  const outcomes = await requestWithNest({ brokers, topic: fixture.topic, groupId: `${fixture.name}.nest`, values });
  expect(outcomes).toMatchObject([
    { reply: { status: 'inserted', topic: fixture.topic } },
    {
      error: {
        status: 'rejected',
        code: 'reserved_field',
        message: expect.stringContaining('identity column') as string,
      },
    },
  ]);
  expect((await fixture.rowCounts()).rows).toBe(1);
});
