import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export interface FaultyProxyOptions {
  /** Kafka tells its clients where it is: the proxy puts its own port in the place of the broker's. */
  readonly advertises?: boolean;
}

/** A TCP proxy in front of one part, whose connections can be made to swallow answers, or to break. */
export class FaultyProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #silent = new WeakSet<Socket>();
  readonly #clients = new Set<Socket>();
  #resets = false;
  /** Connections that were reset. */
  reset = 0;
  /** What the server has answered, on all connections. */
  answeredBytes = 0;
  #seen = 0;
  #timer: NodeJS.Timeout | undefined;

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** @param target `host:port` on this machine */
  static async start(target: string, { advertises = false }: FaultyProxyOptions = {}): Promise<FaultyProxy> {
    const [host = '', port = ''] = target.split(':');
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const proxy = new FaultyProxy(server);
    const told = advertised(host, Number(port));
    const tells = advertised(host, proxy.port);
    server.on('connection', (client) => {
      const upstream = connect(Number(port), host);
      proxy.#clients.add(client);
      let isNew = true;
      client.on('data', (data) => {
        if (isNew && proxy.#resets) proxy.#resetEverySecond(client);
        isNew = false;
        if (!client.destroyed) upstream.write(data);
      });
      upstream.on('data', (data) => {
        proxy.answeredBytes += data.length;
        if (!proxy.#silent.has(client)) client.write(advertises ? replaced(data, told, tells) : data);
      });
      for (const [one, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        one.on('error', () => one.destroy());
        one.on('close', () => {
          proxy.#clients.delete(client);
          other.destroy();
        });
      }
    });
    return proxy;
  }

  /**
   * While it is on, half of all connections are reset: of the new ones every second one, once something is asked on it, and of
   * those that are open every second one each second.
   */
  resetHalf(on: boolean): void {
    this.#resets = on;
    clearInterval(this.#timer);
    if (on)
      this.#timer = setInterval(() => [...this.#clients].forEach((client) => this.#resetEverySecond(client)), 1_000);
  }

  #resetEverySecond(client: Socket): void {
    if (++this.#seen % 2 === 0) this.#reset(client);
  }

  #reset(client: Socket): void {
    this.reset++;
    client.resetAndDestroy();
  }

  /** From now on nothing is answered on the connections that are open; new ones work. Returns how many are silent. */
  silence(): number {
    for (const client of this.#clients) this.#silent.add(client);
    return this.#clients.size;
  }

  async close(): Promise<void> {
    this.resetHalf(false);
    for (const client of this.#clients) client.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** A broker in an answer of Kafka's: its host with its length before it, and its port. */
function advertised(host: string, port: number): Buffer {
  const bytes = Buffer.alloc(2 + host.length + 4);
  bytes.writeInt16BE(host.length);
  bytes.write(host, 2);
  bytes.writeInt32BE(port, 2 + host.length);
  return bytes;
}

function replaced(data: Buffer, told: Buffer, tells: Buffer): Buffer {
  const copy = Buffer.from(data);
  for (let at = copy.indexOf(told); at >= 0; at = copy.indexOf(told, at + told.length)) tells.copy(copy, at);
  return copy;
}
