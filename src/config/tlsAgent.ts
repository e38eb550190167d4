import { Agent, type AgentOptions } from 'node:https';
import type { TlsConfig } from './config.js';
import { tlsOptions } from './tlsOptions.js';

/** An agent whose next connection uses the certificates that the configuration has by then. */
export class TlsAgent extends Agent {
  readonly #tls: TlsConfig;

  constructor(tls: TlsConfig, options: AgentOptions) {
    // A session that is resumed would be that of the certificates with which it began.
    super({ ...options, maxCachedSessions: 0 });
    this.#tls = tls;
  }

  override createConnection(
    ...[options, callback]: Parameters<Agent['createConnection']>
  ): ReturnType<Agent['createConnection']> {
    return super.createConnection({ ...options, ...tlsOptions(this.#tls) }, callback);
  }
}
