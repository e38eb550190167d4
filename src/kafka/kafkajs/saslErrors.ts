import kafkajs from 'kafkajs';
import { internalModule, type Connection, type Repairable } from './internals.js';

/** `broker/saslAuthenticator` */
interface SaslAuthenticator {
  connection: Connection;
  authenticate: (this: SaslAuthenticator) => Promise<void>;
}

/**
 * If a connection breaks during authentication, kafkajs reports refused credentials, which are not retried. Repaired,
 * it reports the connection's error.
 */
export function repairSaslErrors(): void {
  const { prototype: authenticator } = internalModule('broker/saslAuthenticator') as Repairable<SaslAuthenticator>;
  const { authenticate } = authenticator;
  authenticator.authenticate = async function () {
    const { connection } = this;
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
      send: { value: (request: object) => noting(connection.send(request)) },
      sendAuthRequest: { value: (request: object) => noting(connection.sendAuthRequest(request)) },
    }) as SaslAuthenticator['connection'];
    try {
      await authenticate.call(this);
    } catch (error) {
      throw lost ?? error;
    }
  };
}

function isOfConnection(error: unknown): error is Error {
  return error instanceof kafkajs.KafkaJSConnectionError || error instanceof kafkajs.KafkaJSRequestTimeoutError;
}
