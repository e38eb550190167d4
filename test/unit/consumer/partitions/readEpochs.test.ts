import { expect, it } from 'vitest';
import { ReadEpochs } from '../../../../src/consumer/partitions/readEpochs.js';

const SOURCE = { topic: 'orders', partition: 0, epoch: 'e1' };

it('remembers the furthest that was read, also if earlier offsets are read again', () => {
  const read = new ReadEpochs();
  read.note(SOURCE, 5, 100);
  read.note(SOURCE, 3, 40);
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 5, to: 100 });
  read.note(SOURCE, 7, 120);
  expect(read.of(SOURCE)).toMatchObject({ leaderEpoch: 7, to: 120 });
});

it('forgets what it has read if others have read further since', () => {
  const read = new ReadEpochs();
  read.note(SOURCE, 5, 100);
  read.startsAt(SOURCE, 100);
  expect(read.of(SOURCE)).not.toBeNull();
  read.startsAt({ ...SOURCE, epoch: 'e2' }, 200);
  expect(read.of(SOURCE)).not.toBeNull();
  read.startsAt(SOURCE, 101);
  expect(read.of(SOURCE)).toBeNull();
});

it('knows nothing of another partition, and of what was read under another epoch of ours', () => {
  const read = new ReadEpochs();
  read.note(SOURCE, 5, 100);
  expect(read.of({ ...SOURCE, partition: 1 })).toBeNull();
  expect(read.of({ ...SOURCE, epoch: 'e2' })).toBeNull();
  read.note({ ...SOURCE, epoch: 'e2' }, 7, 40);
  expect(read.of({ ...SOURCE, epoch: 'e2' })).toMatchObject({ leaderEpoch: 7, to: 40 });
  expect(read.of(SOURCE)).toBeNull();
});
