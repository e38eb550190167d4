import type { IncomingMessage } from 'node:http';
import { bearerOf, hasToken } from '../../lib/bearerToken.js';
import { messageOf } from '../../lib/messageOf.js';
import { UsageError } from '../../lib/usageError.js';
import { claimRule, isAllowed, userOf, type ClaimRule } from './claimRules.js';
import { Issuer, IssuerUnavailableError, UserTokenRefusedError } from './issuer.js';

/** Who may have payloads decoded. */
export interface AuthorizationOptions {
  /** The token that requests need as `Authorization: Bearer`. Without it, and without an issuer, all are served. */
  readonly token?: string | undefined;
  /** The header in which a proxy says who asks. It is believed only with the token. */
  readonly userHeader?: string | undefined;
  /** An issuer of OpenID Connect whose users' access tokens are taken, too. All else of `oidc…` needs it. */
  readonly oidcIssuer?: string | undefined;
  readonly oidcAudience?: string | undefined;
  /** Default: what the issuer's discovery document names. */
  readonly oidcJwks?: string | undefined;
  /** The claim that says for the log who asks. Default: `sub`. A token without it is refused. */
  readonly oidcUserClaim?: string | undefined;
  /** `claim=value`, one of which a token must have. Default: each token for the audience is taken. */
  readonly oidcAllow?: readonly string[] | undefined;
}

/** The answer to the question whether a request may be served. */
export type Verdict = Asker | Refused;

/** Who asks. */
export interface Asker {
  readonly by: string;
  /** Who says so: who has the token, a proxy that has it, or the issuer. Undefined if all are served. */
  readonly via?: 'token' | 'proxy' | 'issuer';
  /** The user's `sub`, which no user can choose, if `by` is another claim. */
  readonly sub?: string;
}

interface Refused extends Partial<Asker> {
  /** 401: who asks is not known. 403: they are known, and may not. 503: nobody can say. */
  readonly status: 401 | 403 | 503;
  readonly reason: string;
  /** For the log only, instead of the reason: it may name addresses that who asks should not learn. */
  readonly detail?: string;
}

/** Decides who may have payloads decoded, and says who it is. */
export class Authorization {
  readonly #token: string | undefined;
  readonly #userHeader: string | undefined;
  readonly #issuer: Issuer | null;
  readonly #userClaim: string;
  /** Null allows each token for the audience. */
  readonly #rules: readonly ClaimRule[] | null;

  /** @throws UsageError if options do not fit together, or are none */
  constructor(options: AuthorizationOptions) {
    const { token, userHeader, oidcIssuer, oidcAudience, oidcJwks, oidcUserClaim, oidcAllow } = options;
    if (token?.trim() === '')
      throw new UsageError('--token (KTB_CODEC_TOKEN), or its file, is empty: give a token, or none at all');
    if (token === undefined && userHeader !== undefined)
      throw new UsageError('--user-header is believed only of a proxy that has the token: set KTB_CODEC_TOKEN');
    const ofIssuer = { oidcAudience, oidcJwks, oidcUserClaim, oidcAllow };
    if (oidcIssuer === undefined && Object.values(ofIssuer).some((value) => value !== undefined))
      throw new UsageError('options that begin with --oidc- need --oidc-issuer');
    if (oidcIssuer !== undefined && oidcAudience === undefined)
      throw new UsageError('--oidc-issuer needs --oidc-audience: else tokens for other services were taken');
    this.#token = token;
    this.#userHeader = userHeader?.toLowerCase();
    this.#issuer =
      oidcIssuer === undefined
        ? null
        : new Issuer({ issuer: oidcIssuer, audience: oidcAudience ?? '', jwks: oidcJwks });
    this.#userClaim = oidcUserClaim ?? 'sub';
    this.#rules = oidcAllow?.map(claimRule) ?? null;
  }

  /** Whether everybody who reaches the server is served. */
  get isOpen(): boolean {
    return this.#token === undefined && this.#issuer === null;
  }

  /** Whether each user of the issuer is served who gets a token for the audience. */
  get isForAllUsers(): boolean {
    return this.#issuer !== null && this.#rules === null;
  }

  /** Tries whether the issuer's keys can be had, and says why not. Null if all is well. */
  async problem(): Promise<string | null> {
    try {
      await this.#issuer?.fetchKeys();
      return null;
    } catch (error) {
      return messageOf(error);
    }
  }

  /** Never rejects. */
  async verdictOn({ headers }: Pick<IncomingMessage, 'headers'>): Promise<Verdict> {
    if (this.isOpen) return { by: 'this machine' };
    if (this.#token !== undefined && hasToken(headers.authorization, this.#token)) {
      const user = this.#userHeader === undefined ? undefined : headers[this.#userHeader];
      return user === undefined ? { by: 'who has the token', via: 'token' } : { by: String(user), via: 'proxy' };
    }
    const bearer = bearerOf(headers.authorization);
    if (this.#issuer === null || bearer === null)
      return { status: 401, reason: 'a bearer token is missing, or is another one' };
    try {
      return this.#ofUser(await this.#issuer.claimsOf(bearer));
    } catch (error) {
      if (error instanceof UserTokenRefusedError)
        return { status: 401, reason: `the token is refused: ${error.message}` };
      // Whatever else it is: nobody is let through who could not be checked.
      const what = error instanceof IssuerUnavailableError ? '' : 'unexpected: ';
      const reason = 'no token can be checked now: the log of the codec server says why';
      return { status: 503, reason, detail: `no token can be checked now: ${what}${messageOf(error)}` };
    }
  }

  #ofUser(claims: Readonly<Record<string, unknown>>): Verdict {
    const by = userOf(claims, this.#userClaim);
    if (by === null)
      return { status: 401, reason: `the token is refused: it has no claim ${this.#userClaim}, which says who asks` };
    const sub = this.#userClaim === 'sub' ? null : userOf(claims, 'sub');
    const asker: Asker = { by, via: 'issuer', ...(sub === null ? {} : { sub }) };
    if (this.#rules !== null && !isAllowed(claims, this.#rules))
      return { status: 403, reason: 'the token has none of the claims that --oidc-allow wants', ...asker };
    return asker;
  }
}
