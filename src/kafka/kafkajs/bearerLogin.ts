import type { KafkaConfig } from 'kafkajs';
import { messageOf } from '../../lib/messageOf.js';
import { LoginRefusedError } from '../tokenErrors.js';
import { isOfConnection } from './connectionLost.js';

/** In a message of OAUTHBEARER (RFC 7628, 3.1), and all of the one that ends a refused login. */
const SEPARATOR = '\u0001';

/** Bytes of the size that comes before each message. */
const SIZE_BYTES = 4;

type Mechanism = Extract<KafkaConfig['sasl'], { authenticationProvider: unknown }>;
type LoginArguments = Parameters<Mechanism['authenticationProvider']>[0];

/** Where a login gets its token from. */
export interface TokenSource {
  /** Is asked twice for each login, and has to answer at once the second time. It may reject. */
  readonly current: () => Promise<string>;
  /** A broker has refused this token. */
  readonly refused: (token: string) => void;
}

/** A login of kafkajs that can be prepared: see `saslSessions.ts`. */
export interface PreparedMechanism extends Mechanism {
  readonly beforeHandshake: () => Promise<unknown>;
}

/**
 * A login with a token (SASL OAUTHBEARER), for kafkajs. It replaces kafkajs's own one, which does not read the broker's
 * answer. A broker that refuses a token says so in an answer without an error code (RFC 7628, 3.2.3). kafkajs takes
 * this for a success, and its next request is answered with a closed connection.
 */
export function bearerLogin(tokens: TokenSource): PreparedMechanism {
  return {
    mechanism: 'oauthbearer',
    // A broker that has begun a login accepts nothing else. So there has to be a token.
    beforeHandshake: () => tokens.current(),
    authenticationProvider: ({ saslAuthenticate }) => ({
      authenticate: async () => {
        const token = await tokens.current();
        const refuse = (reason: string): LoginRefusedError => {
          tokens.refused(token);
          return new LoginRefusedError(reason.replaceAll(token, '***'));
        };
        const refusal = await exchange(
          saslAuthenticate,
          `n,,${SEPARATOR}auth=Bearer ${token}${SEPARATOR.repeat(2)}`,
        ).catch((error: unknown) => {
          throw isOfConnection(error) ? error : refuse(messageOf(error));
        });
        if (refusal === '') return;
        // The broker ends the login in answer to this, with an error.
        await exchange(saslAuthenticate, SEPARATOR).catch(() => undefined);
        throw refuse(refusal);
      },
    }),
  };
}

/** Sends a message and returns the answer, which is empty after a success. */
async function exchange(saslAuthenticate: LoginArguments['saslAuthenticate'], text: string): Promise<string> {
  const bytes = Buffer.from(text);
  const size = Buffer.alloc(SIZE_BYTES);
  size.writeInt32BE(bytes.length);
  let answer = '';
  await saslAuthenticate({
    request: { encode: () => Buffer.concat([size, bytes]) },
    response: {
      decode: (received) => {
        answer = received.toString('utf8', SIZE_BYTES);
        return received;
      },
      parse: () => undefined,
    },
  });
  return answer;
}
