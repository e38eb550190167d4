import { afterEach, expect, it, vi } from 'vitest';
import type { MessageProducer } from '../../../src/kafka/producers.js';
import { Publisher, type Amend } from '../../../src/kafka/publisher.js';
import type { OutgoingMessage } from '../../../src/kafka/outgoingMessage.js';

afterEach(() => void vi.restoreAllMocks());

/** @param send what requests do */
function producerThat(send: MessageProducer['send']): MessageProducer {
  return { connect: () => Promise.resolve(), send, disconnect: () => Promise.resolve() };
}

function recordingProducer() {
  const sent: OutgoingMessage[][] = [];
  const producer = producerThat((_, messages) => Promise.resolve(void sent.push([...messages])));
  return { sent, publisher: new Publisher({ createProducer: () => producer }) };
}

it('splits what brokers would refuse as one request, and keeps the order', async () => {
  const { sent, publisher } = recordingProducer();
  const messages = Array.from({ length: 25 }, (_, index) => ({ key: null, value: Buffer.alloc(100_000, index) }));
  await publisher.publish('replies', messages);
  expect(sent.length).toBeGreaterThan(2);
  for (const request of sent) {
    expect(request.reduce((sum, { value }) => sum + (value as Buffer).length, 0)).toBeLessThanOrEqual(128 * 1024);
  }
  expect(sent.flat().map(({ value }) => (value as Buffer)[0])).toEqual(messages.map((_, index) => index));
});

it('sends a message that is too large alone by itself: the broker decides', async () => {
  const { sent, publisher } = recordingProducer();
  await publisher.publish('replies', [
    { key: null, value: 'a' },
    { key: null, value: Buffer.alloc(2_000_000) },
    { key: null, value: 'b' },
  ]);
  expect(sent.map((messages) => messages.length)).toEqual([1, 1, 1]);
});

it('sends nothing for nothing', async () => {
  const { sent, publisher } = recordingProducer();
  await publisher.publish('replies', []);
  expect(sent).toEqual([]);
});

/** Producers whose requests do what `send` says; counts them by topic. */
function outlets(send: MessageProducer['send'], answerWaitMs?: number) {
  const state = { nowMs: 1_000, producers: 0, requests: [] as string[] };
  const createProducer = () => {
    state.producers++;
    return producerThat((topic, messages) => {
      state.requests.push(topic);
      return send(topic, messages);
    });
  };
  const options = answerWaitMs === undefined ? {} : { answerWaitMs };
  return { state, publisher: new Publisher({ createProducer, now: () => state.nowMs, ...options }) };
}

const MESSAGE = { key: null, value: 'v' };

it('gives each topic a producer of its own: one that is gone spoils the metadata of all topics of a producer', async () => {
  const { state, publisher } = outlets(() => Promise.resolve());
  for (const topic of ['a', 'b', 'a', 'b']) await publisher.publish(topic, [MESSAGE]);
  expect(state.producers).toBe(2);
});

it('leaves a topic that failed alone for 5 s, then lets one find out, and others through once it is back', async () => {
  let answer: Promise<void> = Promise.reject(new Error('no leader'));
  const { state, publisher } = outlets((topic) => (topic === 'a' ? answer : Promise.resolve()));
  await expect(publisher.publish('a', [MESSAGE])).rejects.toThrow('topic a takes no messages: no leader');
  state.nowMs += 4_999;
  await expect(publisher.publish('a', [MESSAGE])).rejects.toThrow('no leader');
  await publisher.publish('b', [MESSAGE]);
  expect(state.requests).toEqual(['a', 'b']);

  state.nowMs += 1;
  let back: () => void = () => undefined;
  answer = new Promise((resolve) => (back = resolve));
  const probe = publisher.publish('a', [MESSAGE]);
  await expect(publisher.publish('a', [MESSAGE])).rejects.toThrow('no leader');
  back();
  await probe;
  await publisher.publish('a', [MESSAGE]);
  expect(state.requests).toEqual(['a', 'b', 'a', 'a']);
});

it('says for as long as a topic is left alone whether it refuses this user, or is only away', async () => {
  const denied = Object.assign(new Error('not authorized'), { type: 'TOPIC_AUTHORIZATION_FAILED' });
  let answer: Promise<void> = Promise.reject(denied);
  const { state, publisher } = outlets(() => answer);
  const failure = { topic: 'a', refused: true };
  await expect(publisher.publish('a', [MESSAGE])).rejects.toMatchObject(failure);
  await expect(publisher.publish('a', [MESSAGE])).rejects.toMatchObject(failure);
  state.nowMs += 5_000;
  let fail: (error: Error) => void = () => undefined;
  answer = new Promise((_, reject) => (fail = reject));
  const probe = publisher.publish('a', [MESSAGE]);
  await expect(publisher.publish('a', [MESSAGE])).rejects.toMatchObject(failure);
  fail(new Error('no leader'));
  await expect(probe).rejects.toMatchObject({ ...failure, refused: false });
  await expect(publisher.publish('a', [MESSAGE])).rejects.toMatchObject({ ...failure, refused: false });
  expect(state.requests).toEqual(['a', 'a']);
});

it('a topic that failed is tried again after 5 s, also where the clock was set back meanwhile', async () => {
  const send = vi.fn().mockRejectedValueOnce(new Error('no leader')).mockResolvedValue(undefined);
  const publisher = new Publisher({ createProducer: () => producerThat(send) });
  await expect(publisher.publish('a', [MESSAGE])).rejects.toThrow('no leader');
  vi.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000);
  vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 5_000);
  await publisher.publish('a', [MESSAGE]);
  expect(send).toHaveBeenCalledTimes(2);
});

const refuses = (type: string) => () => Promise.reject(Object.assign(new Error(type), { type }));

it('is not away for what only its messages deserve', async () => {
  for (const type of ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', 'CORRUPT_MESSAGE']) {
    const { state, publisher } = outlets(refuses(type));
    for (let time = 0; time < 2; time++)
      await expect(publisher.publish('a', [MESSAGE])).rejects.toMatchObject({
        name: 'PublishError',
        refused: false,
      });
    expect(state.requests).toEqual(['a', 'a']);
  }
});

it('is away where it refuses the time of now: no message can help it', async () => {
  const { state, publisher } = outlets(refuses('INVALID_TIMESTAMP'));
  for (let time = 0; time < 2; time++)
    await expect(publisher.publish('a', [MESSAGE])).rejects.toThrow('topic a takes no messages: INVALID_TIMESTAMP');
  expect(state.requests).toEqual(['a']);
});

it('waits for an answer for a bounded time: a broker that hangs holds nobody for ever', async () => {
  const { publisher } = outlets(() => new Promise(() => undefined), 20);
  await expect(publisher.publish('a', [MESSAGE])).rejects.toThrow('no answer within 0.02 s');
});

/** Producers that are made one after the other; each does what the next of `acts` says. */
function producersThat(...acts: readonly Partial<MessageProducer>[]) {
  const disconnected: number[] = [];
  let made = 0;
  const createProducer = () => {
    const index = made++;
    const takes = {
      connect: () => Promise.resolve(),
      send: () => Promise.resolve(),
      disconnect: () => Promise.resolve(void disconnected.push(index)),
    };
    return { ...takes, ...acts[index] };
  };
  const state = { nowMs: 0 };
  const publisher = new Publisher({ createProducer, now: () => state.nowMs, answerWaitMs: 20 });
  return { publisher, state, disconnected };
}

const never = () => new Promise<never>(() => undefined);

it.each([
  ['connect', { connect: never }],
  ['request', { send: never }],
  ['request and disconnect', { send: never, disconnect: never }],
])('a topic whose %s never settles takes messages again by another producer', async (_, hangs) => {
  const { publisher, state } = producersThat(hangs);
  await expect(publisher.publish('a', [MESSAGE])).rejects.toThrow('no answer within 0.02 s');
  state.nowMs += 5_000;
  await publisher.publish('a', [MESSAGE]);
});

it('a producer that has not answered is disconnected, and again when its request has failed; one that took its place is not', async () => {
  let fail: (error: Error) => void = () => undefined;
  const { publisher, state, disconnected } = producersThat({
    send: () => new Promise((_resolve, reject) => (fail = reject)),
  });
  const late = publisher.publish('a', [MESSAGE]);
  await expect(late).rejects.toThrow('no answer');
  expect(disconnected).toEqual([0]);
  state.nowMs += 5_000;
  await publisher.publish('a', [MESSAGE]);
  fail(new Error('timed out'));
  await expect.poll(() => disconnected).toEqual([0, 0]);
  await publisher.publish('a', [MESSAGE]);
  expect(disconnected).toEqual([0, 0]);
});

it('says of a topic that is gone or forbidden that it refuses, of one without a leader that it does not', async () => {
  for (const [type, refused] of [
    ['UNKNOWN_TOPIC_OR_PARTITION', true],
    ['TOPIC_AUTHORIZATION_FAILED', true],
    ['LEADER_NOT_AVAILABLE', false],
  ] as const) {
    const cause = Object.assign(new Error('broker says no'), { type });
    const { publisher } = outlets(() => Promise.reject(new Error('retries exceeded', { cause })));
    await expect(publisher.publish('a', [MESSAGE])).rejects.toMatchObject({ name: 'PublishError', refused });
  }
});

/** A topic that refuses whatever has this value, in every form. */
const refusing = (type: string, value: string) =>
  outlets((_, messages) =>
    [...messages].some((message) => message.value === value)
      ? Promise.reject(new Error('gave up', { cause: Object.assign(new Error(type), { type }) }))
      : Promise.resolve(),
  );
const VALUES = ['a', 'b', 'bad', 'c', 'd', 'bad', 'e'].map((value) => ({ key: null, value }));

it.each(['INVALID_RECORD', 'MESSAGE_TOO_LARGE', 'CORRUPT_MESSAGE'])(
  'leaves out, says and counts what a topic refuses with %s in every form while it takes the others',
  async (type) => {
    const leftOut: string[] = [];
    const said: string[] = [];
    const taken: unknown[] = [];
    const createProducer = () =>
      producerThat((_, messages) => {
        const values = Array.from(messages, ({ value }) => value);
        if (values.includes('bad')) return Promise.reject(Object.assign(new Error(type), { type }));
        taken.push(...values);
        return Promise.resolve();
      });
    const stateLog = { problem: (_: string, text: string) => void said.push(text), well: () => undefined };
    const publisher = new Publisher({ createProducer, stateLog, onLeftOut: (topic) => void leftOut.push(topic) });
    await publisher.publish('a', VALUES);
    expect(taken).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(leftOut).toEqual(['a', 'a']);
    expect(said[0]).toMatch('topic a takes other messages, and not the one');
  },
);

it('holds what a topic refuses in every form where it has not taken anything of late', async () => {
  const { state, publisher } = refusing('INVALID_RECORD', 'bad');
  await publisher.publish('a', [MESSAGE]);
  state.nowMs += 60_001;
  await expect(publisher.publish('a', [{ ...MESSAGE, value: 'bad' }])).rejects.toThrow('a message is not valid there');
});

it('a damaged message with a key is none that the topic refuses', async () => {
  const { publisher } = refusing('CORRUPT_MESSAGE', 'bad');
  await expect(publisher.publish('a', [{ key: Buffer.from('k'), value: 'bad' }])).rejects.toThrow('gave up');
});

it('gives all messages of a request a key where the topic wants one, and from then on before it is asked', async () => {
  const { state, publisher } = outlets((_, messages) =>
    messages.hasKeyless() ? refuses('INVALID_RECORD')() : Promise.resolve(),
  );
  const amend: Amend<OutgoingMessage> = (message, refusal) =>
    refusal === 'record' && message.key === null ? { ...message, key: Buffer.from('k') } : undefined;
  const keyed = { key: Buffer.from('own'), value: 'v' };
  await publisher.publish<OutgoingMessage>('a', [MESSAGE, keyed, MESSAGE], amend);
  expect(state.requests).toHaveLength(2);
  await publisher.publish<OutgoingMessage>('a', [MESSAGE, keyed, MESSAGE], amend);
  expect(state.requests).toHaveLength(3);
});

it('tells of each message whether it was taken, also where the topic takes no other, and where the request fails later', async () => {
  const told: string[] = [];
  const outcomes = {
    taken: (messages: readonly OutgoingMessage[]) => void told.push(...messages.map(({ value }) => String(value))),
    refused: ({ value }: OutgoingMessage, reason: string) => void told.push(`${String(value)}: ${reason}`),
  };
  const { publisher } = refusing('MESSAGE_TOO_LARGE', 'bad');
  await publisher.publishEach('a', VALUES.slice(2, 3), outcomes);
  expect(told.splice(0)).toEqual(['bad: a message is larger than it takes']);
  await publisher.publishEach('a', VALUES.slice(0, 4), outcomes);
  expect(told.splice(0)).toEqual(['a', 'b', 'c', 'bad: a message is larger than it takes']);

  let requests = 0;
  const failing = outlets(() => (++requests > 1 ? Promise.reject(new Error('gone')) : Promise.resolve()));
  const messages = ['x', 'y'].map((value) => ({ key: null, value: value.repeat(500_000) }));
  await expect(failing.publisher.publishEach('a', messages, outcomes)).rejects.toThrow('takes no messages: gone');
  expect(told.map((value) => value[0])).toEqual(['x']);
});
