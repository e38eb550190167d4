import { createHash, timingSafeEqual } from 'node:crypto';

/** The token of an `Authorization` header. The scheme may be in any case (RFC 9110, 11.1). Null if there is none. */
export function bearerOf(header: string | undefined): string | null {
  return /^Bearer +(\S.*)$/i.exec(header ?? '')?.[1] ?? null;
}

/**
 * Whether an `Authorization` header has this bearer token. It takes the same time for every wrong token, so that nobody
 * finds it out letter by letter. Nobody has an empty token: else a header that is missing would count as the right one.
 */
export function hasToken(header: string | undefined, token: string): boolean {
  const bearer = bearerOf(header);
  return timingSafeEqual(digest(bearer ?? ''), digest(token)) && bearer !== null && token !== '';
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
