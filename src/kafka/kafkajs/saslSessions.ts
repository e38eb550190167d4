import type { PreparedMechanism } from './bearerLogin.js';
import { isOfConnection } from './connectionLost.js';
import { internalModule, type Connection, type Repairable } from './internals.js';

/** `broker/saslAuthenticator` */
interface SaslAuthenticator {
  connection: AuthenticatedConnection;
  /** Milliseconds until the broker wants another login on this connection. 0 if it never does. */
  readonly sessionLifetime: string;
  authenticate: (this: SaslAuthenticator) => Promise<void>;
}

interface AuthenticatedConnection extends Connection {
  readonly sasl: Partial<Pick<PreparedMechanism, 'beforeHandshake'>>;
  /** kafkajs logs in again if less than this is left of a session, in milliseconds. */
  reauthenticationThreshold: number;
}

/** kafkajs's own {@link AuthenticatedConnection.reauthenticationThreshold}. */
const AGAIN_BEFORE_MS = 10_000;
/** But at most this part of the session. */
const AGAIN_BEFORE_SHARE = 0.3;

/**
 * Four repairs of how kafkajs logs in by SASL:
 *
 * - If a connection breaks meanwhile, kafkajs reports refused credentials, which are not retried. Repaired, it reports
 *   the connection's error.
 * - kafkajs looks for a token after it has begun. If there is none, the connection cannot be used any more. Repaired, it
 *   looks before.
 * - kafkajs reads user and password at different moments of a login, and both may change. Repaired, it has those of one
 *   moment.
 * - kafkajs logs in again for each request if a session is shorter than 10 s, and brokers refuse a second login within
 *   a second. Repaired, it does so only near the session's end.
 */
export function repairSaslSessions(): void {
  const { prototype: authenticator } = internalModule('broker/saslAuthenticator') as Repairable<SaslAuthenticator>;
  const { authenticate } = authenticator;
  authenticator.authenticate = async function () {
    const { connection } = this;
    await connection.sasl.beforeHandshake?.();
    let lost: Error | undefined;
    const noting = async (answer: Promise<unknown>): Promise<unknown> => {
      try {
        return await answer;
      } catch (error) {
        if (isOfConnection(error)) lost = error;
        throw error;
      }
    };
    this.connection = Object.create(connection, {
      sasl: { value: { ...connection.sasl } },
      send: { value: (request: object) => noting(connection.send(request)) },
      sendAuthRequest: { value: (request: object) => noting(connection.sendAuthRequest(request)) },
    }) as SaslAuthenticator['connection'];
    try {
      await authenticate.call(this);
    } catch (error) {
      throw lost ?? error;
    }
    // kafkajs takes whole numbers only.
    const share = Math.floor(Number(this.sessionLifetime) * AGAIN_BEFORE_SHARE);
    connection.reauthenticationThreshold = Math.min(AGAIN_BEFORE_MS, share);
  };
}
