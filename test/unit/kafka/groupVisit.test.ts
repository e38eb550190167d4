import kafkajs from 'kafkajs';
import { afterEach, expect, it, vi } from 'vitest';
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

/** kafkajs's own consumer and runner, with a group whose coordinator is the test. */
function coordinator() {
  const group = (internalModule('consumer/consumerGroup') as Prototype).prototype;
  const cluster = (internalModule('cluster') as Prototype).prototype;
  for (const method of ['connect', 'disconnect', 'addMultipleTargetTopics'])
    vi.spyOn(cluster, method).mockResolvedValue(undefined);
  for (const method of ['connect', 'heartbeat']) vi.spyOn(group, method).mockResolvedValue(undefined);
  vi.spyOn(group, 'getNodeIds').mockReturnValue(['1'] as never);
  vi.spyOn(group, 'joinAndSync').mockImplementation(function (this: Group) {
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
  return { crashConsumer, committing, leave: () => leave() };
}

const kafka = new kafkajs.Kafka({ brokers: ['127.0.0.1:1'], logLevel: kafkajs.logLevel.NOTHING });
const OFFSETS = [{ topic: 't', partition: 0, offset: '5', metadata: 'x' }];
const refusal = new kafkajs.KafkaJSError('The coordinator is not aware of this member', { retriable: false });

it('what was not committed because the member had crashed before is not said to be', async () => {
  const { crashConsumer, committing, leave } = coordinator();
  committing.mockRejectedValue(refusal);
  const visit = visitGroup(kafka, { groupId: 'g', topics: ['t'] }, async ({ commit }) => {
    await crashConsumer();
    await commit(OFFSETS).finally(leave);
  });
  await expect(visit).rejects.toThrow(refusal.message);
});

it('what was not committed because the member crashed meanwhile is not said to be', async () => {
  const { crashConsumer, committing, leave } = coordinator();
  committing.mockImplementation(async () => {
    await crashConsumer();
    throw refusal;
  });
  const visit = visitGroup(kafka, { groupId: 'g', topics: ['t'] }, ({ commit }) => commit(OFFSETS).finally(leave));
  await expect(visit).rejects.toThrow(refusal.message);
});

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
