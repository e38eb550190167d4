import { expect, it } from 'vitest';
import { claimRule, isAllowed, userOf } from '../../../../src/commands/codecServer/claimRules.js';
import { UsageError } from '../../../../src/lib/usageError.js';

const claims = {
  sub: 'u-1',
  email: 'ada@example.com',
  email_verified: true,
  level: 3,
  groups: ['readers', 'payload-readers', { name: 'admins' }],
  scope: 'openid payloads:read',
  'https://example.com/roles': ['operator'],
  realm_access: { roles: ['payload-reader'] },
  none: null,
};
const allowed = (...rules: string[]) => isAllowed(claims, rules.map(claimRule));

it.each([
  'groups=payload-readers',
  'email=ada@example.com',
  'email_verified=true',
  'level=3',
  'scope=payloads:read',
  'https://example.com/roles=operator',
  '/realm_access/roles=payload-reader',
])('a token keeps %s', (rule) => expect(allowed(rule)).toBe(true));

it.each([
  'groups=payload',
  'groups=admins',
  'groups=[object Object]',
  'groups=readers,payload-readers',
  'email=ada@example.com ',
  'email=ADA@example.com',
  'scope=payloads',
  'scope=openid payloads:read',
  'none=null',
  'absent=undefined',
  'toString=x',
  '__proto__=x',
  '/groups/length=3',
  '/realm_access=payload-reader',
])('a token does not keep %s', (rule) => expect(allowed(rule)).toBe(false));

it('one rule of several is enough, and no rule allows nobody', () => {
  expect(allowed('groups=others', 'level=3')).toBe(true);
  expect(allowed()).toBe(false);
});

it('a value may have the sign that divides it from its claim', () => {
  expect(claimRule('a=b=c')).toEqual({ claim: 'a', value: 'b=c' });
  for (const wrong of ['', 'groups', '=x', 'groups=']) expect(() => claimRule(wrong), wrong).toThrow(UsageError);
});

it('the log gets a name that is a text, and nothing else', () => {
  expect(userOf(claims, 'email')).toBe('ada@example.com');
  for (const claim of ['level', 'groups', 'absent', 'constructor']) expect(userOf(claims, claim), claim).toBeNull();
  expect(userOf({ sub: ' ' }, 'sub')).toBeNull();
});
