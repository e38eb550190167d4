import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { answers, calledIn, Http2Reader, type TemporalRequest } from './grpcFrames.js';
import { AddressMap, answeredIn, FrameReader, KAFKA_REQUESTS, requestIn, type KafkaRequest } from './kafkaFrames.js';

/** Whose answer is dropped: a request of Kafka's or Temporal's, a statement of ClickHouse's, or whatever comes next. */
export type Asked = KafkaRequest | TemporalRequest | 'insert' | 'lookUp' | 'any';

/** How a link's two ends talk, so that it knows whose answer is whose. */
export type Protocol = 'kafka' | 'temporal' | 'clickhouse';

export type LinkState =
  | { readonly type: 'healthy' }
  /** Each piece arrives so much later. */
  | { readonly type: 'slow'; readonly delayMs: number }
  /** Nothing arrives until the end; what was sent meanwhile arrives then, as TCP repeats it. */
  | { readonly type: 'partitioned' };

const HOST = '127.0.0.1';
/**
 * What a statement has within the first bytes of a request's body. Only a look-up asks for a range of the identity column: a
 * daemon also selects what it needs to know of tables and settings.
 */
const STATEMENTS: Readonly<Record<'insert' | 'lookUp', RegExp>> = {
  insert: /INSERT INTO/,
  lookUp: /SELECT [^]*\b_offset BETWEEN\b/,
};
const HEAD_BYTES = 16 * 1024;
/** A statement of ClickHouse's is answered by several pieces. */
const DROP_MS = 300;

interface Connection {
  readonly client: Socket;
  readonly server: Socket;
  /** Swallows what comes from either side. */
  halfOpen: boolean;
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
  /** Connections that were made half-open. */
  #halfOpened = 0;
  /** Pieces that had to wait. */
  #held = 0;
  readonly #server: Server;
  readonly #protocol: Protocol;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #connections = new Set<Connection>();
  #state: LinkState = { type: 'healthy' };
  readonly #pipes = new Set<Pipe>();
  #addresses = new AddressMap(HOST, new Map());
  /** How many answers are still to be dropped. */
  readonly #drops = new Map<Asked, number>();
  /** Requests that do not arrive. */
  readonly #swallowed = new Set<KafkaRequest>();
  /** How many were. */
  readonly #droppedOf = new Map<Asked, number>();

  private constructor(name: string, target: string, server: Server, port: number, protocol: Protocol) {
    const { hostname, port: targetPort } = new URL(`tcp://${target}`);
    this.name = name;
    this.port = port;
    this.#server = server;
    this.#protocol = protocol;
    this.#target = { host: hostname, port: Number(targetPort) };
    server.on('connection', (client) => this.#forward(client));
  }

  /**
   * @param target `host:port`
   * @param port one that is free
   */
  static async open(name: string, target: string, port: number, protocol: Protocol): Promise<Link> {
    const server = createServer();
    server.listen(port, HOST);
    await once(server, 'listening');
    return new Link(name, target, server, port, protocol);
  }

  get address(): string {
    return `${HOST}:${this.port}`;
  }

  /** Answers of a kind that were dropped. */
  dropped(asked: Asked): number {
    return this.#droppedOf.get(asked) ?? 0;
  }

  /** How often a fault has hit a connection, or a piece of what it passes on. */
  get hits(): number {
    return this.cut + this.#halfOpened + this.#held;
  }

  /** It leads to a broker: answers tell these ports in the place of the brokers' own. */
  tellPorts(ports: ReadonlyMap<number, number>): void {
    this.#addresses = new AddressMap(HOST, ports);
  }

  set(state: LinkState): void {
    this.#state = state;
    for (const pipe of this.#pipes) pipe.stateChanged();
  }

  /** Cuts all connections with a reset. */
  reset(): void {
    for (const connection of this.#connections) {
      if (!connection.client.destroyed) this.cut++;
      cut(connection);
    }
  }

  /** From now on all that is sent on the open connections is lost, and they stay open. New ones work. */
  halfOpen(): void {
    for (const connection of this.#connections) {
      if (!connection.halfOpen && !connection.client.destroyed) this.#halfOpened++;
      connection.halfOpen = true;
    }
  }

  /** The next requests of a kind are passed on, their answers are not, and their connections are cut. */
  dropAnswers(asked: Asked, count: number): void {
    this.#drops.set(asked, count);
  }

  /** Requests of a kind do not arrive, from now on or no longer. All else does: who asks waits until it gives up. */
  swallow(asked: KafkaRequest, isOn: boolean): void {
    if (isOn) this.#swallowed.add(asked);
    else this.#swallowed.delete(asked);
  }

  /** Ends all faults. Connections that have lost something are cut. */
  heal(): void {
    this.#drops.clear();
    this.#swallowed.clear();
    this.set({ type: 'healthy' });
    for (const connection of this.#connections) if (connection.halfOpen) cut(connection);
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

  #forward(client: Socket): void {
    const server = connect(this.#target.port, this.#target.host);
    const connection: Connection = { client, server, halfOpen: false };
    this.#connections.add(connection);
    const there = this.#pipe(server);
    const back = this.#pipe(client);
    const watch: Watch = {
      asked: (matches) => this.#asked(matches),
      swallows: (key) => [...this.#swallowed].some((asked) => KAFKA_REQUESTS[asked] === key),
      drop: (asked) => this.#drop(connection, asked),
      dropSoon: (asked) => {
        connection.halfOpen = true;
        setTimeout(() => this.#drop(connection, asked), DROP_MS);
      },
    };
    const talk = this.#talk(watch);

    client.on('data', (data) => {
      if (connection.halfOpen) return;
      for (const piece of talk.asked(data)) there.write(piece);
    });
    server.on('data', (data) => {
      if (connection.halfOpen) return;
      for (const piece of talk.answered(data)) back.write(piece);
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

  #talk(watch: Watch): Talk {
    if (this.#protocol === 'kafka') return new KafkaTalk(watch, this.#addresses);
    return this.#protocol === 'temporal' ? new TemporalTalk(watch) : new StatementTalk(watch);
  }

  #drop(connection: Connection, asked: Asked): void {
    if (connection.client.destroyed) return;
    this.#droppedOf.set(asked, this.dropped(asked) + 1);
    cut(connection);
  }

  #pipe(to: Socket): Pipe {
    const pipe = new Pipe(
      to,
      () => this.#state,
      () => this.#held++,
    );
    this.#pipes.add(pipe);
    return pipe;
  }

  #asked(matches: (asked: Asked) => boolean): Asked | undefined {
    for (const [asked, left] of this.#drops) {
      if (left === 0 || !matches(asked)) continue;
      this.#drops.set(asked, left - 1);
      return asked;
    }
    return undefined;
  }
}

function cut({ client, server }: Connection): void {
  client.resetAndDestroy();
  server.destroy();
}

/** What a connection's talk asks of its link, and does to it. */
interface Watch {
  /** As what the answer to such a request is to be dropped, if it is. Counts it. */
  readonly asked: (matches: (asked: Asked) => boolean) => Asked | undefined;
  /** Whether a request of this number does not arrive. */
  readonly swallows: (key: number) => boolean;
  readonly drop: (asked: Asked) => void;
  readonly dropSoon: (asked: Asked) => void;
}

/** One connection's requests and answers. */
interface Talk {
  /** What of it is passed on, as the next one. */
  asked(data: Buffer): Iterable<Buffer>;
  answered(data: Buffer): Iterable<Buffer>;
}

class KafkaTalk implements Talk {
  readonly #watch: Watch;
  readonly #addresses: AddressMap;
  readonly #requests = new FrameReader();
  readonly #replies = new FrameReader();
  readonly #dropped = new Map<number, Asked>();

  constructor(watch: Watch, addresses: AddressMap) {
    this.#watch = watch;
    this.#addresses = addresses;
  }

  *asked(data: Buffer): Generator<Buffer> {
    for (const frame of this.#requests.take(data)) {
      const request = requestIn(frame);
      if (request !== undefined) {
        if (this.#watch.swallows(request.key)) continue;
        const matches = (asked: Asked) => asked === 'any' || KAFKA_REQUESTS[asked as KafkaRequest] === request.key;
        const asked = this.#watch.asked(matches);
        if (asked !== undefined) this.#dropped.set(request.correlation, asked);
      }
      yield frame;
    }
  }

  *answered(data: Buffer): Generator<Buffer> {
    for (const frame of this.#replies.take(data)) {
      const answered = answeredIn(frame);
      const asked = answered === undefined ? undefined : this.#dropped.get(answered);
      if (asked !== undefined) {
        this.#watch.drop(asked);
        return;
      }
      yield this.#addresses.replaced(frame);
    }
  }
}

/** Many requests are under way on one connection: the answers to all of them are lost with the one that is dropped. */
class TemporalTalk implements Talk {
  readonly #watch: Watch;
  readonly #requests = new Http2Reader(true);
  readonly #replies = new Http2Reader(false);
  readonly #dropped = new Map<number, Asked>();

  constructor(watch: Watch) {
    this.#watch = watch;
  }

  asked(data: Buffer): Iterable<Buffer> {
    for (const frame of this.#requests.take(data)) {
      const called = calledIn(frame);
      if (called === undefined) continue;
      const asked = this.#watch.asked((each) => each === 'any' || each === called);
      if (asked !== undefined) this.#dropped.set(frame.stream, asked);
    }
    return [data];
  }

  *answered(data: Buffer): Generator<Buffer> {
    for (const frame of this.#replies.take(data)) {
      const asked = answers(frame) ? this.#dropped.get(frame.stream) : undefined;
      if (asked !== undefined) {
        this.#watch.drop(asked);
        return;
      }
      yield frame.bytes;
    }
  }
}

class StatementTalk implements Talk {
  readonly #watch: Watch;
  #drops: Asked | undefined;

  constructor(watch: Watch) {
    this.#watch = watch;
  }

  asked(data: Buffer): Iterable<Buffer> {
    this.#drops ??= this.#watch.asked((asked) => asksFor(asked, data));
    return [data];
  }

  answered(data: Buffer): Iterable<Buffer> {
    if (this.#drops === undefined) return [data];
    this.#watch.dropSoon(this.#drops);
    return [];
  }
}

function asksFor(asked: Asked, data: Buffer): boolean {
  if (asked === 'any') return true;
  if (asked !== 'insert' && asked !== 'lookUp') return false;
  return STATEMENTS[asked].test(data.toString('latin1', 0, HEAD_BYTES));
}

/** One direction of a connection: what is written arrives in order, at once, later, or when a partition is over. */
class Pipe {
  readonly #to: Socket;
  readonly #state: () => LinkState;
  readonly #onHeld: () => void;
  readonly #waiting: { readonly data: Buffer | 'end'; readonly writtenAtMs: number }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(to: Socket, state: () => LinkState, onHeld: () => void) {
    this.#to = to;
    this.#state = state;
    this.#onHeld = onHeld;
  }

  write(data: Buffer): void {
    if (this.#state().type !== 'healthy') this.#onHeld();
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
