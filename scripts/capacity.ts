import type { Run } from '../bench/run.js';
import { actionsOf, signalActionsOf } from '../bench/counters.js';
import { MAIN, medianCpu, number, rowsAnInsert, spread, type FigureTable } from '../bench/tables.js';
import { lastRunWith, madeBy, markdown } from './benchmarks.js';

/** What is planned for. */
const RATES = [10_000, 100_000, 1_000_000];

/** What is assumed, beside what is measured. */
const ASSUMED = {
  /** Share of a limit that is planned with. */
  load: 0.5,
  /** Fewest batchers that are planned. */
  batchers: 2,
  /** Writes to a workflow's history that one shard takes a second. */
  writesPerShard: 20,
  shardsMin: 512,
  /** Inserts a second that one server of ClickHouse takes for one table, before its merges fall behind. */
  insertsPerServer: 10,
  /** List price of Temporal Cloud, before discounts: docs.temporal.io/cloud/pricing. */
  dollarsPerMillionActions: 50,
  secondsPerMonth: 30 * 24 * 3_600,
  /** Default of batch.maxDelay. */
  maxDelaySeconds: 1,
  /** After so long a consumer signals what it has for a batcher: `signal.linger`. With several consumers half of it. */
  lingerSeconds: 1,
};

/** Costs of one record, or of a million where the name says so. */
interface Measured {
  readonly cpuPerMillion: Readonly<Record<string, number>>;
  readonly mainThreadPerMillion: number;
  readonly actionsPerBatch: number;
  readonly signalsPerMillion: number;
  readonly batchesPerMillion: number;
  readonly rowsPerInsert: number;
  readonly perPartition: number;
  readonly perBatcher: number;
}

/** The figures of docs/capacity.md. */
export function capacityReference(runs: readonly Run[]): string {
  const costs = measured(runs);
  const drains = lastRunWith(runs, 'drains');
  return [
    '## Measured',
    madeBy(drains),
    markdown(costTable(costs)),
    '## Assumed',
    markdown(assumptionTable()),
    '## Needed',
    markdown(needTable(costs)),
    '',
  ].join('\n\n');
}

function measured(runs: readonly Run[]): Measured {
  const bridge = lastRunWith(runs, 'drains').drains.filter(({ variant }) => variant === MAIN);
  const { counts, records = NaN } = bridge.at(-1) ?? {};
  if (counts === undefined) throw new Error('no file in bench/results has drains of the bridge');
  const { sweep } = lastRunWith(runs, 'sweep');
  const rateOf = (name: string): number =>
    sweep.find(({ factor, point }) => factor === name && point === '1')?.recordsPerSecond ?? NaN;
  const slow = lastRunWith(runs, 'latencies').latencies.find(({ maxDelay }) => maxDelay === undefined);
  const perMillion = (count: number): number => (count * 1_000_000) / records;
  return {
    cpuPerMillion: medianCpu(bridge),
    mainThreadPerMillion: spread(bridge.map((drain) => drain.mainThreadSecondsPerMillion)).median,
    actionsPerBatch:
      slow === undefined ? NaN : (actionsOf(slow.counts) - signalActionsOf(slow.counts)) / slow.counts.flushes,
    signalsPerMillion: perMillion(counts.signals),
    batchesPerMillion: perMillion(counts.flushes),
    rowsPerInsert: rowsAnInsert(counts),
    perPartition: rateOf('partitions'),
    perBatcher: rateOf('batchers'),
  };
}

function costTable(costs: Measured): FigureTable {
  const { cpuPerMillion: cpu } = costs;
  return {
    head: ['', 'symbol', 'value'],
    rows: [
      ['CPU seconds of the bridge, a million records', '`cpu`', (cpu['tested'] ?? 0).toFixed(1)],
      ['of which in its main thread', '`main`', costs.mainThreadPerMillion.toFixed(1)],
      ['CPU seconds of Kafka, a million records', '`kafka`', (cpu['kafka'] ?? 0).toFixed(1)],
      ['CPU seconds of Temporal, a million records', '`temporal`', (cpu['temporal'] ?? 0).toFixed(1)],
      ['CPU seconds of ClickHouse, a million records', '`clickhouse`', (cpu['clickhouse'] ?? 0).toFixed(1)],
      ['signals, a million records', '`signals`', number(costs.signalsPerMillion)],
      ['batches, a million records', '`batches`', number(costs.batchesPerMillion)],
      ['actions a batch, beside its signals', '`perBatch`', costs.actionsPerBatch.toFixed(1)],
      ['rows an insert', '`rows`', number(costs.rowsPerInsert)],
      ['records/s through one partition', '`partition`', number(costs.perPartition)],
      ['records/s through one batcher', '`batcher`', number(costs.perBatcher)],
    ],
  };
}

function assumptionTable(): FigureTable {
  return {
    head: ['', 'symbol', 'value'],
    rows: [
      ['share of each limit that is planned with', '`load`', String(ASSUMED.load)],
      ['fewest batchers', '', String(ASSUMED.batchers)],
      ['`batch.maxDelay` in seconds', '`maxDelay`', String(ASSUMED.maxDelaySeconds)],
      ['`signal.linger` in seconds; half of it with several pods', '`linger`', String(ASSUMED.lingerSeconds)],
      ['writes a second to a history shard of Temporal', '`writes`', String(ASSUMED.writesPerShard)],
      ['fewest history shards', '', String(ASSUMED.shardsMin)],
      ['inserts a second to a table on one server of ClickHouse', '`inserts`', String(ASSUMED.insertsPerServer)],
      ['dollars for a million actions of Temporal Cloud', '`price`', String(ASSUMED.dollarsPerMillionActions)],
    ],
  };
}

function needTable(costs: Measured): FigureTable {
  const plans = RATES.map((rate) => plan(rate, costs));
  const lines: [string, string, (of: ReturnType<typeof plan>) => string][] = [
    ['pods', '`R × main ÷ 1e6 ÷ load`', ({ pods }) => number(pods)],
    ['cores a pod', '`R × cpu ÷ 1e6 ÷ load ÷ pods`', ({ coresPerPod }) => coresPerPod.toFixed(1)],
    ['partitions', '`R ÷ (partition × load)`, at least two a pod', ({ partitions }) => number(partitions)],
    ['batchers', '`R ÷ (batcher × load)`, at least two', ({ batchers }) => number(batchers)],
    ['signals a second', '`R × signals ÷ 1e6`, at least `pods × batchers ÷ linger`', ({ signals }) => number(signals)],
    ['batches a second', '`R × batches ÷ 1e6`, at least `batchers ÷ maxDelay`', ({ batches }) => number(batches)],
    ['actions a second', '`signals/s + batches/s × perBatch`', ({ actions }) => number(actions)],
    ['dollars a month for them', '`actions/s × 30 days × price ÷ 1e6`', ({ dollars }) => number(dollars)],
    ['history shards', '`(signals/s + 5 × batches/s) ÷ writes`, a power of two', ({ shards }) => number(shards)],
    ['cores of Temporal', '`R × temporal ÷ 1e6 ÷ load`', ({ temporalCores }) => number(temporalCores)],
    ['inserts a second', '`R ÷ rows`, at least `batchers ÷ maxDelay`', ({ inserts }) => number(inserts)],
    ['shards of ClickHouse', '`inserts/s ÷ inserts`', ({ servers }) => number(servers)],
    ['cores of ClickHouse', '`R × clickhouse ÷ 1e6 ÷ load`', ({ clickhouseCores }) => number(clickhouseCores)],
    ['cores of Kafka', '`R × kafka ÷ 1e6 ÷ load`', ({ kafkaCores }) => number(kafkaCores)],
  ];
  return {
    head: ['', 'formula', ...RATES.map((rate) => `${number(rate)} records/s`)],
    rows: lines.map(([name, formula, cell]) => [name, formula, ...plans.map(cell)]),
  };
}

/** What a rate of records/s needs. */
function plan(rate: number, costs: Measured) {
  const millions = rate / 1_000_000;
  const cores = (part: string): number => Math.ceil((millions * (costs.cpuPerMillion[part] ?? 0)) / ASSUMED.load);
  const pods = Math.ceil((millions * costs.mainThreadPerMillion) / ASSUMED.load);
  const batchers = Math.max(ASSUMED.batchers, Math.ceil(rate / (costs.perBatcher * ASSUMED.load)));
  const fewestBatches = batchers / ASSUMED.maxDelaySeconds;
  const lingerSeconds = ASSUMED.lingerSeconds / (pods > 1 ? 2 : 1);
  const batches = Math.max(millions * costs.batchesPerMillion, fewestBatches);
  // Each pod signals each batcher by itself.
  const signals = Math.max(millions * costs.signalsPerMillion, (pods * batchers) / lingerSeconds);
  const actions = signals + batches * costs.actionsPerBatch;
  const inserts = Math.max(rate / costs.rowsPerInsert, fewestBatches);
  const shards = (signals + WRITES_A_BATCH * batches) / ASSUMED.writesPerShard;
  return {
    pods,
    coresPerPod: (millions * (costs.cpuPerMillion['tested'] ?? 0)) / ASSUMED.load / pods,
    partitions: Math.max(2 * pods, Math.ceil(rate / (costs.perPartition * ASSUMED.load))),
    batchers,
    signals,
    batches,
    actions,
    dollars: (actions * ASSUMED.secondsPerMonth * ASSUMED.dollarsPerMillionActions) / 1_000_000,
    shards: Math.max(ASSUMED.shardsMin, 2 ** Math.ceil(Math.log2(shards))),
    temporalCores: cores('temporal'),
    inserts,
    servers: Math.ceil(inserts / ASSUMED.insertsPerServer),
    clickhouseCores: cores('clickhouse'),
    kafkaCores: cores('kafka'),
  };
}

/** Two workflow tasks begin and end, and the activity begins. */
const WRITES_A_BATCH = 5;
