import { expect, it } from 'vitest';
import type { RequestsState } from '../../../src/protocol/batcher.js';
import { Requests } from '../../../src/workflows/requests.js';

const DAY_MS = Requests.REMEMBERED_MS;
const request = (id: string | number, requester = 'w') => ({ id: String(id), requester });

/** Through JSON, as continue-as-new sends it. */
const carried = (requests: Requests) =>
  new Requests('another', JSON.parse(JSON.stringify(requests.toState())) as RequestsState);

it('counts offsets, takes each name once, and says what became of it', () => {
  const requests = new Requests('e1');
  expect(requests.accept(request('a'), 0)).toEqual({ type: 'new', offset: 0 });
  expect(requests.accept(request('b'), 0)).toEqual({ type: 'new', offset: 1 });
  expect(requests.accept(request('a'), 5)).toEqual({ type: 'pending' });
  requests.noteVerdicts([
    [0, 'inserted'],
    [1, 'not_json'],
  ]);
  expect(requests.accept(request('a'), 5)).toEqual({ type: 'answered', verdict: [0, 'inserted'] });
  expect(requests.accept(request('b'), 5)).toEqual({ type: 'answered', verdict: [1, 'not_json'] });
});

it('two requesters may use the same id', () => {
  const requests = new Requests('e1');
  requests.accept(request('a', 'w1'), 0);
  expect(requests.accept(request('a', 'w2'), 0).type).toBe('new');
  // Neither can be mistaken for the other by where one name ends.
  expect(requests.accept(request('b","c', 'w'), 0).type).toBe('new');
  expect(requests.accept(request('c', 'w","b'), 0).type).toBe('new');
});

it('goes on in the next run: epoch, count, names, answers', () => {
  const requests = new Requests('e1');
  for (let id = 0; id < 50; id++) requests.accept(request(id), id * 30_000);
  requests.noteVerdicts([[7, 'skipped']]);
  const next = carried(requests);
  expect(next.epoch).toBe('e1');
  expect(next.toState()).toEqual(requests.toState());
  expect(next.accept(request(7), 0)).toEqual({ type: 'answered', verdict: [7, 'skipped'] });
  expect(next.accept(request(8), 0)).toEqual({ type: 'pending' });
  expect(next.accept(request(50), 0)).toEqual({ type: 'new', offset: 50 });
  expect(new Requests('e2').toState()).toBeUndefined();
});

it('remembers a name for 24 hours, forgets it from one run to the next, and never one that is not answered', () => {
  const requests = new Requests('e1');
  requests.accept(request('old'), 0);
  requests.accept(request('pending'), 0);
  requests.accept(request('young'), DAY_MS);
  requests.noteVerdicts([[0, 'inserted']]);
  requests.expire(DAY_MS - 1);
  expect(requests.size).toBe(3);
  // Age alone forgets nothing within a run: a closed run lived once more would forget at another moment.
  expect(requests.accept(request('old'), 9 * DAY_MS).type).toBe('answered');
  requests.expire(DAY_MS + 1);
  expect(requests.size).toBe(2);
  expect(requests.accept(request('pending'), DAY_MS).type).toBe('pending');
  expect(requests.accept(request('old'), DAY_MS)).toEqual({ type: 'new', offset: 3 });
});

it('remembers no more names than fit into the input of a run', () => {
  const requests = new Requests('e1');
  for (let id = 0; id < Requests.REMEMBERED_MAX + 10; id++) {
    requests.accept(request(id), id * 60_000);
    requests.noteVerdicts([[id, id % 2 === 0 ? 'inserted' : 'refused_by_clickhouse']]);
  }
  expect(requests.size).toBe(Requests.REMEMBERED_MAX);
  expect(requests.accept(request(9), 0).type).toBe('new');
  expect(requests.accept(request(11), 0).type).toBe('answered');
  // The worst there is: no two neighbours have anything in common.
  expect(JSON.stringify(requests.toState()).length).toBeLessThan(512 * 1024);
});
