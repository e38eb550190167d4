import type { AwsSasl, SaslConfig, TokenSasl } from '../config/config.js';
import { asError } from '../lib/asError.js';
import { retryDelayMs } from '../lib/retryDelay.js';
import { TokenUnavailableError } from './tokenErrors.js';
import { requestToken, type Token } from './tokenRequest.js';

/** A token is renewed when this part of its life is left, */
const LEFT_SHARE = 0.2;
/** or this much: kafkajs logs in again up to 10 s before the broker ends the session, which it does with the token. */
const LEFT_MS = 15_000;
/** But one that was just given is used, however short its life is. */
const LEFT_SHARE_MAX = 0.5;

/** Longer no token is held, whatever it says: that it was revoked shows only when a broker refuses it. */
const LIFE_MS_MAX = 24 * 3_600_000;

/** After a failure nobody asks again for this long: many connections open at the same time. */
const PAUSE_MS = 1_000;

/**
 * A token that took the place of one that a broker has refused is given to all for at least this long, although it is refused,
 * too. The time grows with each token that is refused. Else each login at such a broker would ask for another token.
 */
const REFUSED_PAUSE = { firstMs: 1_000, longestMs: 60_000 };
/** After this long without a refusal the next one counts as the first. */
const REFUSED_NO_MORE_MS = 600_000;

interface Held {
  readonly value: string;
  readonly renewAt: number;
  readonly endsAt: number;
}

/**
 * The current token, for all connections of the process. It is asked for when the first connection needs one. When a
 * connection needs one and little of its life is left, the connection gets it at once, and it is renewed meanwhile.
 *
 *     none ──current──► asked ──answer──► held ──current, little left──► held and asked ──answer──► held
 *      ▲                  └──error──► none                                  └──error──► held, to its end
 *      └──refused by a broker, ended── held
 */
export class Tokens {
  readonly #ask: () => Promise<Token>;
  readonly #notRenewed: (error: Error, leftMs: number) => void;
  readonly #now: () => number;
  #held: Held | null = null;
  #failed: { readonly error: Error; readonly until: number } | null = null;
  #asked: Promise<void> | null = null;
  /** Tokens that were given up in a row, and when the last one was. */
  #refused = { count: 0, at: -Infinity };

  /**
   * @param ask rejects with {@link TokenRefusedError} or {@link TokenUnavailableError}, after some seconds at most
   * @param notRenewed is called when a token could not be renewed and the old one is used, which ends in this time
   * @param now in milliseconds, of a clock that nobody sets
   */
  constructor(
    ask: () => Promise<Token>,
    notRenewed: (error: Error, leftMs: number) => void,
    now: () => number = () => performance.now(),
  ) {
    this.#ask = ask;
    this.#notRenewed = notRenewed;
    this.#now = now;
  }

  /**
   * A token that can be used.
   *
   * @throws TokenRefusedError
   * @throws TokenUnavailableError
   */
  async current(): Promise<string> {
    const held = this.#usable();
    if (held !== null) {
      if (this.#now() >= held.renewAt) void this.#renewOnce();
      return held.value;
    }
    await this.#renewOnce();
    const given = this.#usable();
    if (given !== null) return given.value;
    throw this.#failed?.error ?? new TokenUnavailableError('the token has ended already');
  }

  /** A broker has refused this token: who needs one from now on gets another, unless others were refused just before. */
  refused(value: string): void {
    if (this.#held?.value !== value) return;
    const { count, at } = this.#refused;
    const passedMs = this.#now() - at;
    if (count > 0 && passedMs < retryDelayMs(count, REFUSED_PAUSE, 1)) return;
    this.#refused = { count: passedMs < REFUSED_NO_MORE_MS ? count + 1 : 1, at: this.#now() };
    this.#held = null;
  }

  #usable(): Held | null {
    return this.#held !== null && this.#now() < this.#held.endsAt ? this.#held : null;
  }

  /** Never rejects. */
  async #renewOnce(): Promise<void> {
    if (this.#failed !== null && this.#now() < this.#failed.until) return;
    await (this.#asked ??= this.#renew().finally(() => (this.#asked = null)));
  }

  async #renew(): Promise<void> {
    // From before the request: the server counts from some time after it.
    const since = this.#now();
    try {
      const { value, lifeMs: saidMs } = await this.#ask();
      const lifeMs = Math.min(saidMs, LIFE_MS_MAX);
      const left = Math.min(Math.max(lifeMs * LEFT_SHARE, LEFT_MS), lifeMs * LEFT_SHARE_MAX);
      this.#held = { value, renewAt: since + lifeMs - left, endsAt: since + lifeMs };
      this.#failed = null;
    } catch (error) {
      const failure = asError(error);
      this.#failed = { error: failure, until: this.#now() + PAUSE_MS };
      const leftMs = (this.#held?.endsAt ?? 0) - this.#now();
      if (leftMs > 0) this.#notRenewed(failure, leftMs);
    }
  }
}

/** The logins that need a token. */
type TokenLogin = TokenSasl | AwsSasl;

export function needsToken(sasl: SaslConfig | null): sasl is TokenLogin {
  return sasl?.mechanism === 'oauthbearer' || sasl?.mechanism === 'aws-msk-iam';
}

const shared = new WeakMap<TokenLogin, Tokens>();

/**
 * The tokens of a login, the same for all who ask with the same configuration.
 *
 * @param timeoutMs for each request
 * @param notRenewed see {@link Tokens}; that of the first who asks counts
 */
export function tokensOf(
  sasl: TokenLogin,
  timeoutMs: number,
  notRenewed: (error: Error, leftMs: number) => void = () => undefined,
): Tokens {
  let tokens = shared.get(sasl);
  if (tokens === undefined) shared.set(sasl, (tokens = new Tokens(() => ask(sasl, timeoutMs), notRenewed)));
  return tokens;
}

/** The AWS SDK is loaded only if it is needed. */
async function ask(sasl: TokenLogin, timeoutMs: number): Promise<Token> {
  if (sasl.mechanism === 'oauthbearer') return requestToken(sasl, timeoutMs);
  const { signToken } = await import('./awsToken.js');
  return signToken(sasl, timeoutMs);
}
