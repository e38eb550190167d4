import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * When the connection of an insert is cut, each time after the server has got all of it: at once, while it is working, or
 * when it has answered.
 */
export type Cut = 'whileRunning' | 'beforeAnswer';

/** The end of a request body in chunks. */
const LAST_CHUNK = Buffer.from('0\r\n\r\n');

/** A TCP proxy in front of ClickHouse that can take away the answer to the next insert. */
export class CuttingProxy {
  readonly url: string;
  /** How the next insert is cut; undefined: not at all. */
  cutNext: Cut | undefined;
  /** Inserts that were cut. */
  cuts = 0;
  /** Answers to these inserts that came and were kept back: their rows are there. */
  answersLost = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(target: string): Promise<CuttingProxy> {
    const { hostname, port } = new URL(target);
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new CuttingProxy(server, (server.address() as AddressInfo).port);
    server.on('connection', (client) => {
      proxy.#forward(client, connect(Number(port), hostname));
    });
    return proxy;
  }

  /** Listens again, at the same address. */
  async reopen(): Promise<void> {
    this.#server.listen(Number(new URL(this.url).port), '127.0.0.1');
    await once(this.#server, 'listening');
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #forward(client: Socket, server: Socket): void {
    let cut: Cut | undefined;
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
    }
    client.on('data', (data) => {
      if (this.cutNext !== undefined && data.includes('INSERT INTO')) {
        cut = this.cutNext;
        this.cutNext = undefined;
        this.cuts++;
      }
      server.write(data);
      if (cut === 'whileRunning' && data.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK)) client.destroy();
    });
    server.on('data', (data) => {
      if (cut !== undefined && !client.destroyed) {
        this.answersLost++;
        client.destroy();
      }
      if (!client.destroyed) client.write(data);
    });
    server.on('close', () => client.destroy());
    client.on('close', () => {
      if (cut !== 'whileRunning') server.destroy();
    });
  }
}
