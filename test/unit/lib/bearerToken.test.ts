import { expect, it } from 'vitest';
import { hasToken } from '../../../src/lib/bearerToken.js';

it.each(['Bearer the token', 'bearer the token', 'BEARER   the token'])('takes the token from %s', (header) => {
  expect(hasToken(header, 'the token')).toBe(true);
});

it.each([undefined, '', 'Bearer', 'Bearer ', 'Bearer the', 'Bearer the token2', 'Basic the token', 'the token'])(
  'finds no token, or another one, in %s',
  (header) => {
    expect(hasToken(header, 'the token')).toBe(false);
  },
);

it.each([undefined, '', 'Bearer', 'Bearer ', 'Bearer x', 'Basic'])(
  'nobody has an empty token: not with %s',
  (header) => {
    expect(hasToken(header, '')).toBe(false);
  },
);
