import { expect, it, onTestFinished } from 'vitest';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { FaultyProxy } from '../support/faultyProxy.js';
import { Fixture } from '../support/fixture.js';
import { useStack } from '../support/useStack.js';

const stack = useStack();
const RECORDS = 10_000;

it('commands that cannot read a topic to its end exit with 1, and say how far they came', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  await fixture.collectAcks();
  const daemon = await Daemon.start(fixture.config());
  await fixture.produce(RECORDS, (id) => ({ value: JSON.stringify({ id, text: 'x'.repeat(1_000) }) }));
  await expectExactlyOnce(fixture);
  await daemon.stop();
  const messages = Array.from({ length: 500 }, () => ({ value: 'x'.repeat(1_000) }));
  for (let sent = 0; sent < RECORDS; sent += 500)
    await fixture.producer.send({ topic: fixture.deadLetterTopic, messages });
  const address = stack().kafka.brokers[0] ?? '';
  const commands = [
    ['dlq', 'replay', fixture.name, '--all'],
    ['reconcile', fixture.name],
  ];
  const ended = commands.map(async (args) => {
    const proxy = await FaultyProxy.start(address, { advertises: true });
    onTestFinished(() => proxy.close());
    const command = ktb(fixture.config().replaceAll(address, `127.0.0.1:${proxy.port}`), args);
    await eventually(() => expect(proxy.answeredBytes).toBeGreaterThan(1_000_000), 60_000, 5);
    // Nobody answers any more.
    await proxy.close();
    return command;
  });
  for (const { code, output } of await Promise.all(ended)) {
    expect(code).toBe(1);
    expect(output).toMatch(/the log was not read to its end: \S+\/0 was read up to offset \d+ of 10000; /);
  }
});
