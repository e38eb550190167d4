import { describe, expect, it } from 'vitest';
import { BatchBodies } from '../../../src/activities/batchBodies.js';

const MIB = 1024 * 1024;
const batch = (id: string, bodyBytes = 1, batcher = 'b') => ({
  batcher,
  id,
  chunks: [{ segments: [], keep: [], records: 1, bytes: 1, bodyBytes }],
});

/** Bodies beside a history that has one byte for each batch. */
function bodiesWithHistory(): { bodies: BatchBodies; read: string[] } {
  const read: string[] = [];
  const flushing = (batcher: string, runId: string, id: string): Promise<Uint8Array> => {
    read.push(`${batcher} ${runId} ${id}`);
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
    expect(read).toEqual(['b r one']);
  });

  it('are not those of another batch of the batcher, nor of one of the same id with other chunks', async () => {
    const { bodies, read } = bodiesWithHistory();
    bodies.keep('b', 'one', Uint8Array.of(7));
    await bodies.of(batch('two'), 'r');
    bodies.keep('b', 'two', Uint8Array.of(7, 7));
    expect(await bodies.of(batch('two'), 'r')).toEqual(Uint8Array.of(1));
    expect(read).toEqual(['b r two', 'b r two']);
  });

  it('are forgotten when the batch is done, and when the next one comes', () => {
    const { bodies } = bodiesWithHistory();
    bodies.keep('b', 'one', Uint8Array.of(7));
    bodies.forget('b');
    bodies.forget('b');
    expect(bodies.bytes).toBe(0);
    bodies.keep('b', 'two', Uint8Array.of(7));
    bodies.keep('b', 'three', Uint8Array.of(7, 7));
    expect(bodies.bytes).toBe(2);
  });

  it('are kept up to 32 MiB, those that were used last', async () => {
    const { bodies, read } = bodiesWithHistory();
    const of = (batcher: number) => bodies.of(batch('id', MIB, String(batcher)), 'r');
    for (let batcher = 0; batcher < 32; batcher++) bodies.keep(String(batcher), 'id', new Uint8Array(MIB));
    await of(0);
    bodies.keep('32', 'id', new Uint8Array(MIB));
    expect(bodies.bytes).toBe(32 * MIB);
    await of(0);
    expect(read).toEqual([]);
    await of(1);
    expect(read).toEqual(['1 r id']);
  });
});
