import type { KafkaConfig } from 'kafkajs';
import { messageOf } from '../../lib/messageOf.js';
import { LoginRefusedError } from '../tokenErrors.js';

/** In a message of OAUTHBEARER (RFC 7628, 3.1), and all of the one that ends a refused login. */
const SEPARATOR = '\u0001';

/** Bytes of the size that comes before each message. */
const SIZE_BYTES = 4;

type Mechanism = Extract<KafkaConfig['sasl'], { authenticationProvider: unknown }>;
type LoginArguments = Parameters<Mechanism['authenticationProvider']>[0];

/** A login of kafkajs that can be prepared: see `saslSessions.ts`. */
export interface PreparedMechanism extends Mechanism {
  readonly beforeHandshake: () => Promise<unknown>;
}

/**
 * A login with a token (SASL OAUTHBEARER), for kafkajs. It replaces kafkajs's own one, which does not read the broker's
 * answer. A broker that refuses a token says so in an answer without an error code (RFC 7628, 3.2.3). kafkajs takes
 * this for a success, and its next request is answered with a closed connection.
 *
 * @param token is asked twice for each login, and has to answer at once the second time. It may reject
 */
export function bearerLogin(token: () => Promise<string>): PreparedMechanism {
  return {
    mechanism: 'oauthbearer',
    // A broker that has begun a login accepts nothing else. So there has to be a token.
    beforeHandshake: token,
    authenticationProvider: ({ saslAuthenticate }) => ({
      authenticate: async () => {
        const refusal = await exchange(
          saslAuthenticate,
          `n,,${SEPARATOR}auth=Bearer ${await token()}${SEPARATOR.repeat(2)}`,
        );
        if (refusal === '') return;
        // The broker ends the login in answer to this, with an error.
        await exchange(saslAuthenticate, SEPARATOR).catch(() => undefined);
        throw new LoginRefusedError(refusal);
      },
    }),
  };
}

/**
 * Sends a message and returns the answer, which is empty after a success.
 *
 * @throws LoginRefusedError
 */
async function exchange(saslAuthenticate: LoginArguments['saslAuthenticate'], text: string): Promise<string> {
  const bytes = Buffer.from(text);
  const size = Buffer.alloc(SIZE_BYTES);
  size.writeInt32BE(bytes.length);
  let answer = '';
  try {
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
  } catch (error) {
    throw new LoginRefusedError(messageOf(error));
  }
  return answer;
}
