import { createHash, timingSafeEqual } from 'node:crypto';

/**
 * Whether an `Authorization` header has this bearer token. The scheme may be in any case (RFC 9110, 11.1). It takes the
 * same time for every wrong token, so that nobody finds it out letter by letter.
 */
export function hasToken(header: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S.*)$/i.exec(header ?? '')?.[1] ?? '';
  return timingSafeEqual(digest(given), digest(token));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
