import { describe, expect, it } from 'vitest';
import { BatchBodies } from '../../../src/activities/batchBodies.js';

const MIB = 1024 * 1024;
const batch = (id: string) => ({ batcher: 'b', id });

/** Bodies beside a history that has one byte for each batch. */
function bodiesWithHistory(): { bodies: BatchBodies; read: string[] } {
  const read: string[] = [];
  const flushing = (_batcher: string, runId: string, id: string): Promise<Uint8Array> => {
    read.push(`${runId} ${id}`);
    return Promise.resolve(Uint8Array.of(1));
  };
  return { bodies: new BatchBodies({ flushing }), read };
}

describe('the bodies of a batch that is stored once', () => {
  it('are those that were kept, for each attempt', async () => {
    const { bodies, read } = bodiesWithHistory();
    bodies.keep('b', 'one', Uint8Array.of(7));
    expect(await bodies.of(batch('one'), 'r')).toEqual(Uint8Array.of(7));
    expect(await bodies.of(batch('one'), 'r')).toEqual(Uint8Array.of(7));
    expect(read).toEqual([]);
  });

  it('are read from the history of the run where they were not kept, once', async () => {
    const { bodies, read } = bodiesWithHistory();
    bodies.keep('other', 'one', Uint8Array.of(7));
    expect(await bodies.of(batch('one'), 'r')).toEqual(Uint8Array.of(1));
    expect(await bodies.of(batch('one'), 'r')).toEqual(Uint8Array.of(1));
    expect(read).toEqual(['r one']);
  });

  it('are forgotten when the batch is done', async () => {
    const { bodies, read } = bodiesWithHistory();
    bodies.keep('b', 'one', Uint8Array.of(7));
    bodies.forget('b', 'one');
    bodies.forget('b', 'one');
    expect(bodies.bytes).toBe(0);
    await bodies.of(batch('one'), 'r');
    expect(read).toEqual(['r one']);
  });

  it('are kept up to 16 MiB, the latest ones', async () => {
    const { bodies, read } = bodiesWithHistory();
    for (let id = 0; id < 20; id++) bodies.keep('b', String(id), new Uint8Array(MIB));
    bodies.keep('b', '19', new Uint8Array(MIB));
    expect(bodies.bytes).toBe(16 * MIB);
    expect(await bodies.of(batch('4'), 'r')).toHaveLength(MIB);
    await bodies.of(batch('3'), 'r');
    expect(read).toEqual(['r 3']);
  });
});
