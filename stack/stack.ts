import type { StackEvent } from './progress.js';

/** How the parts run: as processes of this machine, or as containers. */
export type Flavour = 'native' | 'docker';

/** The three systems of the stack. */
export type PartName = 'kafka' | 'temporal' | 'clickhouse';

/**
 * One process (or container) of the stack, to be stopped, killed, suspended and started again by tests.
 *
 *     stopped --start--> running --suspend--> suspended --resume--> running
 *     running, suspended --stop, kill, own crash--> stopped
 *
 * Each call resolves when the new state is really reached, and is a no-op in a part that is there already. `suspend` of a
 * part that is not running, and any call after the stack's `stop()`, throws a {@link StackError}.
 */
export interface StackPart {
  /** `kafka-1`, `kafka-2`, `kafka-3`, `temporal` or `clickhouse`. */
  readonly name: string;
  /** Neither stopped nor crashed; a suspended part is still running in this sense. */
  readonly running: boolean;
  /** Ids of its processes on this machine, empty while it is stopped; always empty in the docker flavour. */
  readonly pids: readonly number[];
  /** Ends it as an operator would (SIGTERM), by SIGKILL if it has not ended after a deadline. */
  stop(): Promise<void>;
  /** SIGKILL: nothing is flushed, no goodbye is said. */
  kill(): Promise<void>;
  /** Starts it again on the same port with the same data; resolves when it is healthy and answers. */
  start(): Promise<void>;
  /** SIGSTOP: its connections stay open and nothing answers. */
  suspend(): Promise<void>;
  /** SIGCONT after {@link StackPart.suspend}. */
  resume(): Promise<void>;
  /** The last lines of its log, for messages about failures. */
  logTail(): Promise<string>;
}

/**
 * How a stack that was started with {@link StackOptions.tls} is reached by TLS, beside its plain addresses. Certificates and
 * secrets are files, made at the start and removed at the end.
 */
export interface StackTls {
  /** Authority that has signed every certificate, PEM. The servers' is for 127.0.0.1, localhost and temporal.example.com. */
  readonly ca: string;
  /** A client's certificate and key, PEM. */
  readonly cert: string;
  readonly key: string;
  /** User of Kafka and ClickHouse. */
  readonly username: string;
  readonly passwordFile: string;
  readonly apiKeyFile: string;
  readonly accessTokenFile: string;
  readonly kafka: {
    /** SASL_SSL with PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512; a client certificate is checked where one comes. */
    readonly saslBrokers: readonly string[];
    /** SSL with client certificates. */
    readonly mutualBrokers: readonly string[];
  };
  readonly temporal: {
    /** TLS with the API key. */
    readonly apiKeyAddress: string;
    /** TLS with client certificates. */
    readonly mutualAddress: string;
  };
  readonly clickhouse: {
    /** HTTPS with user and password, or with the access token. */
    readonly url: string;
    /** The same, with client certificates beside. */
    readonly mutualUrl: string;
  };
}

/** A running stack. A part left out by {@link StackOptions.only} throws when its addresses are read. */
export interface Stack {
  readonly kafka: { readonly brokers: readonly string[] };
  readonly temporal: { readonly address: string; readonly uiUrl?: string };
  /** The user has no password; any other password is refused with code 516. */
  readonly clickhouse: {
    readonly url: string;
    readonly username: string;
    readonly password: string;
    readonly database: string;
  };
  /** Only where it was asked for: see {@link StackOptions.tls}. */
  readonly tls?: StackTls;
  readonly parts: {
    /** One per broker. Of three, two are needed for anything: when two were ended, start them together, not one by one. */
    readonly kafka: readonly StackPart[];
    readonly temporal: StackPart;
    readonly clickhouse: StackPart;
  };
  readonly flavour: Flavour;
  /** Where the parts' data and logs are; removed at stop. Empty in the docker flavour, whose containers hold them. */
  readonly dataDir: string;
  /** Stops every part and removes the data; idempotent, and safe while a part is stopped, killed or suspended. */
  stop(): Promise<void>;
}

/** What {@link Stack} to start. */
export interface StackOptions {
  /** 1 (default), or 3 brokers with every topic replicated to all, of which one may be away. */
  readonly brokers?: 1 | 3;
  /**
   * `auto` (default): what KTB_STACK_FLAVOUR says, else docker where an engine answers and its images are there or can be
   * pulled, else native.
   */
  readonly flavour?: Flavour | 'auto';
  /** Start Temporal's web UI too. Default: no. */
  readonly ui?: boolean;
  /** Broker settings by their names in server.properties, over the stack's own. `{node}` is the broker's number, from 1. */
  readonly kafkaConfig?: Readonly<Record<string, string>>;
  /** Options of the brokers' JVMs, over the stack's own. Only in the native flavour. */
  readonly kafkaJvmOptions?: readonly string[];
  /** Temporal server settings by their dynamic configuration keys, over the stack's own. */
  readonly temporalDynamicConfig?: Readonly<Record<string, string | number | boolean>>;
  /**
   * Let every part be reached by TLS, too, and only with credentials there: {@link Stack.tls}. Needs all three parts, the native
   * flavour, haproxy and openssl. Default: no.
   */
  readonly tls?: boolean;
  /**
   * Lives for minutes, as in a test: then Kafka's JVMs do not optimize, which takes half their processor time. Default: no.
   */
  readonly shortLived?: boolean;
  /**
   * A directory in which the stack makes its own one for the data of its parts. Default: the system's for temporary files. In the
   * docker flavour it has no effect: containers hold their data.
   */
  readonly dataIn?: string;
  /** Only these parts; default: all three. */
  readonly only?: readonly PartName[];
  /** Told about every step: what is set up, downloaded, built, started. */
  readonly onProgress?: (event: StackEvent) => void;
  /** Gives up the start and leaves nothing behind. Has no effect once the stack is up. */
  readonly signal?: AbortSignal;
}

/** What a {@link StackError} is about. */
export type StackErrorCode =
  /** Something has to be installed first; the message says what. */
  | 'PREREQUISITE'
  /** A download or build failed. */
  | 'SET_UP'
  /** A part did not become healthy. */
  | 'START'
  /** The same, because something else listens on its port. */
  | 'ADDRESS_IN_USE'
  /** A part that does not run was to be suspended, one that is gone to be started. */
  | 'STATE'
  /** The caller's signal was aborted. */
  | 'ABORTED';

/** A failure of the stack, in words that say what to do, with the end of the log of the part concerned. */
export class StackError extends Error {
  override readonly name = 'StackError';
  readonly code: StackErrorCode;

  constructor(code: StackErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Throws ABORTED when the caller has given up. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new StackError('ABORTED', 'The start of the local stack was given up.', { cause: signal.reason });
  }
}
