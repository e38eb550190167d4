import kafkajs from 'kafkajs';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { visitGroup } from '../../../src/kafka/groupVisit.js';
import { internalModule } from '../../../src/kafka/kafkajs/internals.js';
import { repairKafkajs } from '../../../src/kafka/kafkajs/repairs.js';
import { eventually } from '../../support/eventually.js';

repairKafkajs();
afterEach(() => vi.restoreAllMocks());

interface Group {
  instrumentationEmitter: { emit(event: string, payload: object): void };
}
interface Prototype {
  prototype: Record<string, (this: Group) => Promise<unknown>>;
}

const lastOf = (order: readonly number[]) => Math.max(0, ...order);

/** kafkajs's own consumer and runner, with a group whose coordinator is the test. */
function coordinator() {
  const group = (internalModule('consumer/consumerGroup') as Prototype).prototype;
  const cluster = (internalModule('cluster') as Prototype).prototype;
  for (const method of ['connect', 'disconnect', 'addMultipleTargetTopics'])
    vi.spyOn(cluster, method).mockResolvedValue(undefined);
  for (const method of ['connect', 'heartbeat']) vi.spyOn(group, method).mockResolvedValue(undefined);
  vi.spyOn(group, 'getNodeIds').mockReturnValue(['1'] as never);
  const joining = vi.spyOn(group, 'joinAndSync').mockImplementation(function (this: Group) {
    this.instrumentationEmitter.emit('consumer.group_join', { memberAssignment: { t: [0] } });
    return Promise.resolve();
  });
  let crash = (): void => undefined;
  let leave = (): void => undefined;
  const crashed = new Promise<never>((_, reject) => {
    crash = () => reject(new kafkajs.KafkaJSConnectionError('the connection is closed'));
  });
  crashed.catch(() => undefined);
  vi.spyOn(group, 'fetch').mockReturnValue(crashed);
  const leaving = vi.spyOn(group, 'leave').mockReturnValue(new Promise<void>((resolve) => (leave = resolve)));
  const committing = vi.spyOn(group, 'commitOffsets');
  /** Its consumer crashes; kafkajs tells nobody of it before it has left the group. */
  const crashConsumer = async () => {
    crash();
    await eventually(() => expect(leaving).toHaveBeenCalled());
  };
  /** Neither in the group, nor on its way into it. */
  const isOutside = () => lastOf(leaving.mock.invocationCallOrder) >= lastOf(joining.mock.invocationCallOrder);
  return { crashConsumer, committing, leave: () => leave(), isOutside };
}

const kafka = new kafkajs.Kafka({ brokers: ['127.0.0.1:1'], logLevel: kafkajs.logLevel.NOTHING });
const OFFSETS = [{ topic: 't', partition: 0, offset: '5', metadata: 'x' }];
const refusal = new kafkajs.KafkaJSError('The coordinator is not aware of this member', { retriable: false });

it.each(['had crashed before', 'crashed meanwhile'])(
  'what was not committed because the member %s is not said to be',
  async (when) => {
    const { crashConsumer, committing, leave } = coordinator();
    const isBefore = when === 'had crashed before';
    committing.mockImplementation(async () => {
      if (!isBefore) await crashConsumer();
      throw refusal;
    });
    const visit = visitGroup(kafka, { groupId: 'g', topics: ['t'] }, async ({ commit }) => {
      if (isBefore) await crashConsumer();
      await commit(OFFSETS).finally(leave);
    });
    await expect(visit).rejects.toThrow(refusal.message);
  },
);

it('says what a member has failed by, once it has', async () => {
  const { crashConsumer, leave } = coordinator();
  await visitGroup(kafka, { groupId: 'g', topics: ['t'] }, async ({ commit }) => {
    await crashConsumer();
    leave();
    await eventually(() => expect(commit(OFFSETS)).rejects.toThrow('the connection is closed'));
  });
});

it('what the coordinator took is committed, though the member crashed meanwhile', async () => {
  const { crashConsumer, committing, leave } = coordinator();
  committing.mockImplementation(() => crashConsumer());
  await visitGroup(kafka, { groupId: 'g', topics: ['t'] }, ({ commit }) => commit(OFFSETS).finally(leave));
  expect(committing).toHaveBeenCalledOnce();
});

/** Lets one of kafkajs's steps never end by itself. Time is the test's. */
function endless(module: string, method: string): () => void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { prototype } = internalModule(module) as Prototype;
  let end = (): void => undefined;
  vi.spyOn(prototype, method).mockReturnValue(new Promise<void>((resolve) => (end = resolve)));
  return () => end();
}

it.each([
  ['connecting', 'cluster', 'connect'],
  ['subscribing', 'cluster', 'addMultipleTargetTopics'],
])(
  'is over after a minute where %s never ends, and is outside the group when it ends later',
  async (_, module, method) => {
    const { isOutside } = coordinator();
    const end = endless(module, method);
    const visit = visitGroup(kafka, { groupId: 'g', topics: ['t'] }, () => Promise.resolve());
    const ending = expect(visit).rejects.toThrow('group g could not be joined within 60 s');
    // To join, and to leave.
    for (let minute = 0; minute < 2; minute++) await vi.advanceTimersByTimeAsync(60_000);
    await ending;
    end();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(isOutside()).toBe(true);
  },
);

it('is over after a minute where joining never ends', async () => {
  coordinator();
  endless('consumer/consumerGroup', 'connect');
  const visit = visitGroup(kafka, { groupId: 'g', topics: ['t'] }, () => Promise.resolve());
  const ending = expect(visit).rejects.toThrow('group g could not be joined within 60 s');
  for (let minute = 0; minute < 2; minute++) await vi.advanceTimersByTimeAsync(60_000);
  await ending;
});

it('fails where a commit is never answered', async () => {
  const { committing } = coordinator();
  committing.mockReturnValue(new Promise(() => undefined));
  endless('consumer/consumerGroup', 'leave');
  const visit = visitGroup(kafka, { groupId: 'g', topics: ['t'] }, ({ commit }) => commit(OFFSETS));
  const ending = expect(visit).rejects.toThrow('no answer within 60 s');
  for (let minute = 0; minute < 2; minute++) await vi.advanceTimersByTimeAsync(60_000);
  await ending;
});

it('has done its work also where leaving the group never ends', async () => {
  coordinator();
  endless('consumer/consumerGroup', 'leave');
  const visit = visitGroup(kafka, { groupId: 'g', topics: ['t'] }, () => Promise.resolve('done'));
  const ending = expect(visit).resolves.toBe('done');
  await vi.advanceTimersByTimeAsync(60_000);
  await ending;
});
