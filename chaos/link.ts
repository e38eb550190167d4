import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { AddressMap, answeredIn, FrameReader, KAFKA_REQUESTS, requestIn, type KafkaRequest } from './kafkaFrames.js';

/** Whose answer is dropped: a request of Kafka's, a statement of ClickHouse's, or whatever comes next. */
export type Asked = KafkaRequest | 'insert' | 'lookUp' | 'any';

export type LinkState =
  | { readonly type: 'healthy' }
  /** Each piece arrives so much later. */
  | { readonly type: 'slow'; readonly delayMs: number }
  /** Nothing arrives until the end; what was sent meanwhile arrives then, as TCP repeats it. */
  | { readonly type: 'partitioned' };

const HOST = '127.0.0.1';
/** A statement begins within the first bytes of a request's body. */
const STATEMENTS: Readonly<Record<'insert' | 'lookUp', string>> = { insert: 'INSERT INTO', lookUp: 'SELECT ' };
const HEAD_BYTES = 16 * 1024;
/** Several requests may be on one connection: what is answered after the first one is lost, too. */
const DROP_MS = 300;

interface Connection {
  readonly client: Socket;
  readonly server: Socket;
  /** Swallows what comes from either side. */
  halfOpen: boolean;
  /** Swallows the next answer, and is cut soon after. */
  dropsAnswer: boolean;
}

/**
 * The way from one daemon to one part, or to one broker: a TCP proxy. It passes everything on until a fault is asked for.
 *
 *     healthy --set--> slow, partitioned --set--> healthy
 *
 * The other faults are of the connections that are open, or of the next answer.
 */
export class Link {
  readonly name: string;
  readonly port: number;
  /** Connections that a fault has cut. */
  cut = 0;
  /** Answers that were dropped. */
  dropped = 0;
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #connections = new Set<Connection>();
  #state: LinkState = { type: 'healthy' };
  readonly #pipes = new Set<Pipe>();
  #kafka: AddressMap | undefined;
  #drops: { readonly asked: Asked; left: number } | undefined;

  private constructor(name: string, target: string, server: Server, port: number) {
    const { hostname, port: targetPort } = new URL(`tcp://${target}`);
    this.name = name;
    this.port = port;
    this.#server = server;
    this.#target = { host: hostname, port: Number(targetPort) };
    server.on('connection', (client) => this.#forward(client));
  }

  /**
   * @param target `host:port`
   * @param port one that is free
   */
  static async open(name: string, target: string, port: number): Promise<Link> {
    const server = createServer();
    server.listen(port, HOST);
    await once(server, 'listening');
    return new Link(name, target, server, port);
  }

  get address(): string {
    return `${HOST}:${this.port}`;
  }

  /** It leads to a broker: answers tell these ports in the place of the brokers' own. */
  tellPorts(ports: ReadonlyMap<number, number>): void {
    this.#kafka = new AddressMap(HOST, ports);
  }

  set(state: LinkState): void {
    this.#state = state;
    for (const pipe of this.#pipes) pipe.stateChanged();
  }

  /** Cuts all connections with a reset. */
  reset(): void {
    for (const connection of this.#connections) this.#cut(connection);
  }

  /** From now on all that is sent on the open connections is lost, and they stay open. New ones work. */
  halfOpen(): void {
    for (const connection of this.#connections) connection.halfOpen = true;
  }

  /** The next requests of a kind are passed on, their answers are not, and their connections are cut. */
  dropAnswers(asked: Asked, count: number): void {
    this.#drops = { asked, left: count };
  }

  /** Ends all faults. Connections that have lost something are cut. */
  heal(): void {
    this.#drops = undefined;
    this.set({ type: 'healthy' });
    for (const connection of this.#connections) if (connection.halfOpen) this.#cut(connection);
  }

  async close(): Promise<void> {
    this.set({ type: 'healthy' });
    for (const { client, server } of this.#connections) {
      client.destroy();
      server.destroy();
    }
    this.#server.close();
    await once(this.#server, 'close');
  }

  #cut({ client, server }: Connection): void {
    this.cut++;
    client.resetAndDestroy();
    server.destroy();
  }

  #forward(client: Socket): void {
    const server = connect(this.#target.port, this.#target.host);
    const connection: Connection = { client, server, halfOpen: false, dropsAnswer: false };
    this.#connections.add(connection);
    const answers = new Set<number>();
    const requests = this.#kafka === undefined ? undefined : new FrameReader();
    const replies = this.#kafka === undefined ? undefined : new FrameReader();
    const there = this.#pipe(server);
    const back = this.#pipe(client);

    client.on('data', (data) => {
      if (connection.halfOpen) return;
      if (requests === undefined) {
        if (this.#isAsked((asked) => asksFor(asked, data))) connection.dropsAnswer = true;
      } else {
        for (const frame of requests.take(data)) {
          const request = requestIn(frame);
          if (
            request !== undefined &&
            this.#isAsked((asked) => asked === 'any' || KAFKA_REQUESTS[asked as KafkaRequest] === request.key)
          )
            answers.add(request.correlation);
        }
      }
      there.write(data);
    });
    server.on('data', (data) => {
      if (connection.halfOpen) return;
      if (connection.dropsAnswer) {
        connection.halfOpen = true;
        setTimeout(() => this.#drop(connection), DROP_MS);
        return;
      }
      if (replies === undefined) {
        back.write(data);
        return;
      }
      for (const frame of replies.take(data)) {
        const answered = answeredIn(frame);
        if (answered !== undefined && answers.has(answered)) {
          this.#drop(connection);
          return;
        }
        back.write(this.#kafka?.replaced(frame) ?? frame);
      }
    });
    for (const socket of [client, server]) socket.on('error', () => socket.destroy());
    // What was sent before the end still arrives, also if it is held now.
    client.on('close', () => there.end());
    server.on('close', () => {
      back.end();
      this.#connections.delete(connection);
      this.#pipes.delete(there);
      if (client.destroyed) this.#pipes.delete(back);
      else client.once('close', () => this.#pipes.delete(back));
    });
  }

  #drop(connection: Connection): void {
    if (connection.client.destroyed) return;
    this.dropped++;
    this.#cut(connection);
  }

  #pipe(to: Socket): Pipe {
    const pipe = new Pipe(to, () => this.#state);
    this.#pipes.add(pipe);
    return pipe;
  }

  #isAsked(matches: (asked: Asked) => boolean): boolean {
    if (this.#drops === undefined || this.#drops.left === 0 || !matches(this.#drops.asked)) return false;
    this.#drops.left--;
    return true;
  }
}

function asksFor(asked: Asked, data: Buffer): boolean {
  if (asked === 'any') return true;
  if (asked !== 'insert' && asked !== 'lookUp') return false;
  const head = data.toString('latin1', 0, HEAD_BYTES);
  const isInsert = head.includes(STATEMENTS.insert);
  return asked === 'insert' ? isInsert : !isInsert && head.includes(STATEMENTS.lookUp);
}

/** One direction of a connection: what is written arrives in order, at once, later, or when a partition is over. */
class Pipe {
  readonly #to: Socket;
  readonly #state: () => LinkState;
  readonly #waiting: { readonly data: Buffer | 'end'; readonly writtenAtMs: number }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(to: Socket, state: () => LinkState) {
    this.#to = to;
    this.#state = state;
  }

  write(data: Buffer): void {
    this.#waiting.push({ data, writtenAtMs: performance.now() });
    this.#pump();
  }

  end(): void {
    this.#waiting.push({ data: 'end', writtenAtMs: performance.now() });
    this.#pump();
  }

  stateChanged(): void {
    this.#pump();
  }

  #pump(): void {
    clearTimeout(this.#timer);
    const state = this.#state();
    if (state.type === 'partitioned') return;
    const delayMs = state.type === 'slow' ? state.delayMs : 0;
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const waitMs = next.writtenAtMs + delayMs - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#pump(), waitMs);
        return;
      }
      this.#waiting.shift();
      if (this.#to.destroyed) continue;
      if (next.data === 'end') this.#to.end();
      else this.#to.write(next.data);
    }
  }
}
