import {
  createRemoteJWKSet,
  customFetch,
  errors,
  jwtVerify,
  type FetchImplementation,
  type JWTPayload,
  type RemoteJWKSet,
} from 'jose';
import { messageOf } from '../../lib/messageOf.js';
import { retryDelayMs } from '../../lib/retryDelay.js';
import { readAtMost } from '../../lib/readAtMost.js';
import { isConfidential } from '../../lib/confidentialUrl.js';
import { UsageError } from '../../lib/usageError.js';
import { addressShown, whyNotFetched } from '../../lib/whyNotFetched.js';

/** How access tokens of an OpenID Connect issuer are checked. */
export interface IssuerOptions {
  /** The claim `iss` of its tokens, letter by letter. */
  readonly issuer: string;
  /** One of the audiences (`aud`) that its tokens must have. */
  readonly audience: string;
  /** Where its keys are (RFC 7517). Default: where its discovery document says. */
  readonly jwks?: string | undefined;
  /** An unknown key is looked for at most once in this time. Default: 30 s. */
  readonly cooldownMs?: number;
}

/** A token is not valid here. A retry with the same token does not help. The message says why, and shows nothing of it. */
export class UserTokenRefusedError extends Error {
  override readonly name = 'UserTokenRefusedError';
}

/** The issuer's keys cannot be had, so nothing can be said about a token. A retry may help. */
export class IssuerUnavailableError extends Error {
  override readonly name = 'IssuerUnavailableError';
}

/**
 * Only those with a key pair. With a shared secret the public key could be taken for that secret, and `none` signs
 * nothing (RFC 8725, 2.1 and 3.1).
 */
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

/** The clocks of issuer and codec server may differ by this. */
const CLOCK_TOLERANCE_SECONDS = 30;

/** For the discovery document and the keys together. */
const TIMEOUT_MS = 5_000;

const COOLDOWN_MS = 30_000;

/** Keys are fetched again after this time, so a key that the issuer withdraws is believed no longer. */
const KEYS_MAX_AGE_MS = 600_000;

/** After a failure nobody asks the issuer again for a while, however many requests come. The pause grows with each failure. */
const FAILURE_PAUSE = { firstMs: 1_000, longestMs: 30_000 };

/** More than any issuer's keys or document take. */
const ANSWER_BYTES_MAX = 1024 * 1024;

/**
 * Checks access tokens of an OpenID Connect issuer, with its keys, which are fetched when they are needed and then kept. How old
 * they are is measured by a clock that nobody sets: one that is set back must not keep a key that was withdrawn.
 */
export class Issuer {
  readonly #options: IssuerOptions;
  readonly #cooldownMs: number;
  readonly #keys: RemoteJWKSet;
  #fetchedAtMs = -Infinity;
  #fetching: Promise<void> | null = null;
  #failures = 0;
  #failed: { readonly error: Error; readonly untilMs: number } | null = null;

  /** @throws UsageError if an address is none, or is neither https nor of this machine */
  constructor(options: IssuerOptions) {
    const { issuer, jwks, cooldownMs = COOLDOWN_MS } = options;
    if (options.audience === '') throw new UsageError('--oidc-audience is empty');
    const discovery = new URL(`${addressOf('--oidc-issuer', issuer).href.replace(/\/$/, '')}${DISCOVERY_PATH}`);
    this.#options = options;
    this.#cooldownMs = cooldownMs;
    this.#keys = createRemoteJWKSet(jwks === undefined ? discovery : addressOf('--oidc-jwks', jwks), {
      timeoutDuration: TIMEOUT_MS,
      // It goes by the clock of the machine. So it fetches nothing by itself.
      cooldownDuration: Infinity,
      cacheMaxAge: Infinity,
      [customFetch]: (url, request) => this.#answer(url, request),
    });
  }

  /**
   * Fetches the keys, whether they are known or not. After a failure it does so again only once the pause has passed.
   *
   * @throws IssuerUnavailableError
   */
  async fetchKeys(): Promise<void> {
    if (this.#failed !== null && performance.now() < this.#failed.untilMs) throw this.#failed.error;
    // All who ask meanwhile wait for one answer, and count as one failure.
    this.#fetching ??= this.#fetchKeys().finally(() => (this.#fetching = null));
    await this.#fetching;
  }

  /**
   * The claims of a token whose signature, issuer, audience and time are right.
   *
   * @throws UserTokenRefusedError
   * @throws IssuerUnavailableError
   */
  async claimsOf(token: string): Promise<JWTPayload> {
    const { issuer, audience } = this.#options;
    try {
      const { payload } = await jwtVerify(token, (header, jws) => this.#keyOf(header, jws), {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        requiredClaims: ['exp'],
      });
      return payload;
    } catch (error) {
      // Only these are about the token. Whatever else goes wrong is about the keys.
      if (error instanceof errors.JOSEError && !isOfKeys(error)) throw new UserTokenRefusedError(error.message);
      throw unavailable(error);
    }
  }

  async #keyOf(...of: Parameters<RemoteJWKSet>): Promise<Awaited<ReturnType<RemoteJWKSet>>> {
    if (this.#ageMs() >= KEYS_MAX_AGE_MS) await this.fetchKeys();
    try {
      return await this.#keys(...of);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || this.#ageMs() < this.#cooldownMs) throw error;
      await this.fetchKeys();
      return this.#keys(...of);
    }
  }

  #ageMs(): number {
    return performance.now() - this.#fetchedAtMs;
  }

  async #fetchKeys(): Promise<void> {
    try {
      await this.#keys.reload();
      this.#fetchedAtMs = performance.now();
      this.#failures = 0;
      this.#failed = null;
    } catch (reason) {
      const error = unavailable(reason);
      const untilMs = performance.now() + retryDelayMs(++this.#failures, FAILURE_PAUSE, 1);
      this.#failed = { error, untilMs };
      throw error;
    }
  }

  /** The answer of the address that was given, or of the one that the discovery document names by now. */
  async #answer(url: string, { signal }: Parameters<FetchImplementation>[1]): Promise<Response> {
    const address = this.#options.jwks ?? (await this.#keysAddress(url, signal));
    return Response.json(await fetchJson(address, signal));
  }

  /** By OpenID Connect Discovery 1.0. The document must name the same issuer (4.3), or another one could sign for it. */
  async #keysAddress(url: string, signal: AbortSignal): Promise<string> {
    const { issuer, jwks_uri: keys } = ((await fetchJson(url, signal)) ?? {}) as Readonly<Record<string, unknown>>;
    if (issuer !== this.#options.issuer)
      throw new IssuerUnavailableError(`${url} is of another issuer: --oidc-issuer must be as it is written there`);
    if (typeof keys !== 'string') throw new IssuerUnavailableError(`${url} does not say where the keys are (jwks_uri)`);
    return addressOf(`jwks_uri of ${url}`, keys).href;
  }
}

const DISCOVERY_PATH = '/.well-known/openid-configuration';

/** @throws UsageError if somebody on the network could change what it answers */
function addressOf(option: string, text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null) throw new UsageError(`${option} is no https:// address`);
  if (url.username !== '' || url.password !== '') throw new UsageError(`${option} has a user or a password in it`);
  if (!isConfidential(url)) throw new UsageError(`${option} ${addressShown(text)} is no https:// address`);
  return url;
}

async function fetchJson(url: string, signal: AbortSignal): Promise<unknown> {
  try {
    // The server may close a connection that it kept open in the moment when it is used again.
    const headers = { accept: 'application/json', connection: 'close' };
    // Keys come from where they were asked for, and from nowhere else.
    const response = await fetch(url, { signal, redirect: 'error', headers });
    if (response.status !== 200) throw new Error(`status ${response.status}`);
    return JSON.parse(await readAtMost(response, ANSWER_BYTES_MAX)) as unknown;
  } catch (error) {
    throw new IssuerUnavailableError(`${addressShown(url)} gives no JSON (${whyNotFetched(error)})`);
  }
}

/** The keys, as the issuer gives them, are no set of keys. */
function isOfKeys(error: errors.JOSEError): boolean {
  return error instanceof errors.JWKSInvalid || error instanceof errors.JWKInvalid;
}

function unavailable(error: unknown): IssuerUnavailableError {
  if (error instanceof IssuerUnavailableError) return error;
  return new IssuerUnavailableError(`the keys of the issuer cannot be used: ${messageOf(error)}`);
}
