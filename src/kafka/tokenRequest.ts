import type { TokenSasl } from '../config/config.js';
import { basicCredentials } from '../lib/basicLogin.js';
import { readAtMost } from '../lib/readAtMost.js';
import { addressShown, whyNotFetched } from '../lib/whyNotFetched.js';
import { TokenRefusedError, TokenUnavailableError } from './tokenErrors.js';

/** A token, and how long it can be used from now on. */
export interface Token {
  readonly value: string;
  readonly lifeMs: number;
}

/** More than any token takes: some carry hundreds of groups. */
const ANSWER_BYTES_MAX = 1024 * 1024;

/** If neither the answer nor the token says how long it can be used. */
const ASSUMED_LIFE_MS = 60_000;

/** Of an error's description, which a server makes. */
const DESCRIPTION_CHARACTERS_MAX = 300;

/** Errors that a person has to mend (RFC 6749, 4.1.2.1 and 5.2). Any other one, such as a limit of requests, passes. */
const REFUSALS: readonly unknown[] = [
  'invalid_client',
  'unauthorized_client',
  'invalid_scope',
  'invalid_request',
  'unsupported_grant_type',
  'access_denied',
];

/**
 * Asks an authorization server for a token, by the grant `client_credentials` (RFC 6749, 4.4). Client id and secret go
 * into the Authorization header, which every server has to accept (2.3.1).
 *
 * @throws TokenRefusedError if the server refuses the client or what it asks for
 * @throws TokenUnavailableError if it does not answer, or with something else
 */
export async function requestToken(sasl: TokenSasl, timeoutMs: number): Promise<Token> {
  const { tokenUrl, clientId, clientSecret, scope, audience } = sasl;
  const at = `The token server ${addressShown(tokenUrl)}`;
  const login = basicCredentials(encoded(clientId), encoded(clientSecret));
  let status: number;
  let text: string;
  try {
    const response = await fetch(tokenUrl, {
      method: 'POST',
      // The secret goes nowhere else.
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        accept: 'application/json',
        authorization: `Basic ${login}`,
      },
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        ...(scope === undefined ? {} : { scope }),
        ...(audience === undefined ? {} : { audience }),
      }),
    });
    status = response.status;
    text = await readAtMost(response, ANSWER_BYTES_MAX);
  } catch (error) {
    throw new TokenUnavailableError(
      `${at} does not answer (${whyNotFetched(error)}); is it running, and is kafka.sasl.tokenUrl right?`,
    );
  }
  const answer = asMapping(text);
  const { access_token: value, expires_in: expiresIn, error } = answer;
  const logins = [login, basicCredentials(clientId, clientSecret)].map((text) => text.replace(/=+$/, ''));
  const said = wordsOf(answer, [...logins, clientSecret]);
  if (status < 500 && REFUSALS.includes(error))
    throw new TokenRefusedError(
      `${at} refuses client ${clientId} (${said}): check kafka.sasl.clientId, clientSecret, scope and audience`,
    );
  if (status !== 200 || typeof value !== 'string' || value === '') {
    const reason = said === '' ? (status === 200 ? 'but no access_token' : '') : said;
    throw new TokenUnavailableError(
      `${at} gives no token (status ${status}${reason === '' ? '' : `, ${reason}`}): is kafka.sasl.tokenUrl its token endpoint?`,
    );
  }
  const lifeS = Number(expiresIn ?? NaN);
  return { value, lifeMs: lifeS > 0 ? lifeS * 1_000 : (lifeOf(value) ?? ASSUMED_LIFE_MS) };
}

/** As in a form (RFC 6749, 2.3.1). */
function encoded(text: string): string {
  return new URLSearchParams({ '': text }).toString().slice(1);
}

function asMapping(text: string): Readonly<Record<string, unknown>> {
  try {
    const value = JSON.parse(text) as unknown;
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

/** The server's own words, as far as they cannot be one of the secrets. A server may repeat what it was sent. */
function wordsOf(answer: Readonly<Record<string, unknown>>, secrets: readonly string[]): string {
  const words = [answer['error'], answer['error_description']].filter((word) => typeof word === 'string').join(': ');
  const masked = secrets.reduce((text, secret) => text.replace(anyFormOf(secret), '***'), words);
  return masked.replace(/\s+/g, ' ').slice(0, DESCRIPTION_CHARACTERS_MAX);
}

/** Matches a text as it is, percent-encoded, and as in a form: sign by sign, as encoders differ in which ones they leave. */
function anyFormOf(text: string): RegExp {
  const signs = Array.from(text, (sign) => {
    const bytes = Array.from(Buffer.from(sign), (byte) => byte.toString(16).padStart(2, '0'));
    const hex = bytes.join('%').replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`);
    return `(?:\\u{${sign.codePointAt(0)?.toString(16)}}|%${hex}${sign === ' ' ? '|\\+' : ''})`;
  });
  return new RegExp(signs.join(''), 'gu');
}

/** How long a token can be used that is a JWT with the claims `iat` and `exp`. Anything else says nothing. */
function lifeOf(token: string): number | null {
  const { iat, exp } = asMapping(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
  // Both are of the server's clock. This host's may be another one.
  const lifeMs = (Number(exp ?? NaN) - Number(iat ?? NaN)) * 1_000;
  return lifeMs > 0 ? lifeMs : null;
}
