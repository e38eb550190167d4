import { StackError, type Flavour, type Stack, type StackPart, type StackTls } from './stack.js';

/** The parts that were started, with their addresses. */
export interface StartedParts {
  readonly kafka?: { readonly addresses: Stack['kafka']; readonly parts: readonly StackPart[] };
  readonly temporal?: { readonly addresses: Stack['temporal']; readonly part: StackPart };
  readonly clickhouse?: { readonly addresses: Stack['clickhouse']; readonly part: StackPart };
  readonly tls?: StackTls;
}

/** Makes the {@link Stack} of what was started. Reading a part that was left out throws. */
export function assemble(deps: {
  readonly parts: StartedParts;
  readonly flavour: Flavour;
  readonly dataDir: string;
  readonly stop: () => Promise<void>;
}): Stack {
  const { kafka, temporal, clickhouse, tls } = deps.parts;
  return {
    get kafka() {
      return present(kafka, 'Kafka').addresses;
    },
    get temporal() {
      return present(temporal, 'Temporal').addresses;
    },
    get clickhouse() {
      return present(clickhouse, 'ClickHouse').addresses;
    },
    ...(tls === undefined ? {} : { tls }),
    parts: {
      get kafka() {
        return present(kafka, 'Kafka').parts;
      },
      get temporal() {
        return present(temporal, 'Temporal').part;
      },
      get clickhouse() {
        return present(clickhouse, 'ClickHouse').part;
      },
    },
    flavour: deps.flavour,
    dataDir: deps.dataDir,
    stop: deps.stop,
  };
}

function present<T>(part: T | undefined, title: string): T {
  if (part === undefined)
    throw new StackError('STATE', `${title} is not part of this stack: it was started with 'only'.`);
  return part;
}
