import { EventEmitter } from 'node:events';
import { expect, it } from 'vitest';
import { hideHarmlessWarnings } from '../../../src/lib/nodeWarnings.js';

it('hides what kafkajs makes Node 24 warn of, and nothing else', () => {
  const source = new EventEmitter();
  const printed: string[] = [];
  source.on('warning', ({ name }: Error) => void printed.push(name));
  hideHarmlessWarnings(source);
  for (const name of ['TimeoutNegativeWarning', 'DeprecationWarning'])
    source.emit('warning', Object.assign(new Error('-1'), { name }));
  expect(printed).toEqual(['DeprecationWarning']);
});
