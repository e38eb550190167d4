import type { Latency } from '../bench/latency.js';
import type { Run } from '../bench/run.js';
import { actionsOf, signalActionsOf } from '../bench/counters.js';
import { MAIN, medianCpu, number, rowsAnInsert, spread, type FigureTable } from '../bench/tables.js';
import { lastRunWith, madeBy, markdown } from './benchmarks.js';

/** What is planned for. */
const RATES = [100, 10_000, 100_000, 1_000_000];

/** What is assumed, beside what is measured. */
const ASSUMED = {
  /** Share of a limit that is planned with. */
  load: 0.5,
  /** Fewest batchers that are planned. */
  batchers: 2,
  /** Fewest pods: one may go. */
  pods: 2,
  /** Default of worker.maxConcurrentFlushes: batches that one worker inserts at a time. */
  slots: 3,
  /** Bytes of an event in a history, beside the records that it carries. */
  bytesOfEvent: 200,
  /** Writes to a workflow's history that one shard takes a second. */
  writesPerShard: 20,
  shardsMin: 512,
  /** Inserts a second that one server of ClickHouse takes for one table, before its merges fall behind. */
  insertsPerServer: 10,
  /** List price of Temporal Cloud, before discounts: docs.temporal.io/cloud/pricing. */
  dollarsPerMillionActions: 50,
  secondsPerMonth: 30 * 24 * 3_600,
  /** Values of batch.maxDelay and signal.linger to choose from: their default, and up to the longest linger. */
  delaySeconds: [1, 2, 5, 10],
  /** With several consumers a batcher waits for the second half of batch.maxDelay itself, by a timer. */
  timersPerBatch: 1,
  /** What a record of 200 bytes takes in a history, until the namespace's retention is over. */
  bytesStored: 75,
};

/** Parts whose processor time is planned for each batch. The bridge first. */
const PARTS = ['tested', 'temporal', 'clickhouse'];
/** The variant of the benchmark in which each record has a signal of its own. */
const SINGLE = 'one record a signal';

/** Costs of one record, or of a million where the name says so. */
interface Measured {
  readonly cpuPerMillion: Readonly<Record<string, number>>;
  readonly mainThreadPerMillion: number;
  /** Of each part, beside that of its records. */
  readonly cpuPerBatch: Readonly<Record<string, number>>;
  readonly cpuPerSignal: Readonly<Record<string, number>>;
  /** Cores of a process that has next to nothing to do. */
  readonly idleCores: number;
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
  const { latencies } = lastRunWith(runs, 'latencies');
  const slow = latencies.find(({ maxDelay }) => maxDelay === undefined);
  const cpuPerMillion = medianCpu(bridge);
  const steady = PARTS.map((part) => {
    const points = latencies
      .filter(({ batchers }) => batchers === slow?.batchers)
      .map((each) => ({
        x: batchesPerSecond(each),
        y: (each.cpu[part] ?? NaN) - (each.recordsPerSecond * (cpuPerMillion[part] ?? NaN)) / 1_000_000,
      }));
    return [part, line(points)] as const;
  });
  const single = lastRunWith(runs, 'drains').drains.filter(({ variant }) => variant === SINGLE);
  const perMillion = (count: number): number => (count * 1_000_000) / records;
  return {
    cpuPerMillion,
    mainThreadPerMillion: spread(bridge.map((drain) => drain.mainThreadSecondsPerMillion)).median,
    cpuPerBatch: Object.fromEntries(steady.map(([part, { slope }]) => [part, slope])),
    cpuPerSignal: Object.fromEntries(Object.entries(medianCpu(single)).map(([part, cpu]) => [part, cpu / 1_000_000])),
    idleCores: Math.max(0, steady[0]?.[1].start ?? NaN),
    actionsPerBatch:
      slow === undefined ? NaN : (actionsOf(slow.counts) - signalActionsOf(slow.counts)) / slow.counts.flushes,
    signalsPerMillion: perMillion(counts.signals),
    batchesPerMillion: perMillion(counts.flushes),
    rowsPerInsert: rowsAnInsert(counts),
    perPartition: rateOf('partitions'),
    perBatcher: rateOf('batchers'),
  };
}

/** The line that is nearest to some points: least squares. */
function line(points: readonly { readonly x: number; readonly y: number }[]): { slope: number; start: number } {
  const mean = (of: (point: { x: number; y: number }) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)];
  const slope = mean((point) => (point.x - x) * (point.y - y)) / mean((point) => (point.x - x) ** 2);
  return { slope, start: y - slope * x };
}

function batchesPerSecond({ counts, seconds }: Latency): number {
  return counts.flushes / seconds;
}

function costTable(costs: Measured): FigureTable {
  const { cpuPerMillion: cpu, cpuPerBatch: batch, cpuPerSignal: signal } = costs;
  const milliseconds = (seconds: number | undefined): string => ((seconds ?? NaN) * 1_000).toFixed(0);
  return {
    head: ['', 'symbol', 'value'],
    rows: [
      ['CPU seconds of the bridge, a million records', '`cpu`', (cpu['tested'] ?? 0).toFixed(1)],
      ['of which in its main thread', '`main`', costs.mainThreadPerMillion.toFixed(1)],
      ['CPU seconds of Kafka, a million records', '`kafka`', (cpu['kafka'] ?? 0).toFixed(1)],
      ['CPU seconds of Temporal, a million records', '`temporal`', (cpu['temporal'] ?? 0).toFixed(1)],
      ['CPU seconds of ClickHouse, a million records', '`clickhouse`', (cpu['clickhouse'] ?? 0).toFixed(1)],
      ['CPU milliseconds of the bridge, a batch of a few records', '`batchCpu`', milliseconds(batch['tested'])],
      ['CPU milliseconds of Temporal, a batch', '`batchTemporal`', milliseconds(batch['temporal'])],
      ['CPU milliseconds of ClickHouse, a batch', '`batchClickhouse`', milliseconds(batch['clickhouse'])],
      ['CPU milliseconds of the bridge, a signal', '`signalCpu`', milliseconds(signal['tested'])],
      ['CPU milliseconds of Temporal, a signal', '`signalTemporal`', milliseconds(signal['temporal'])],
      ['cores of a process with next to nothing to do', '`idle`', costs.idleCores.toFixed(1)],
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
      ['fewest pods, so that one may go', '', String(ASSUMED.pods)],
      ['fewest batchers', '', String(ASSUMED.batchers)],
      ['timers of a batch, as several pods signal its batcher', '`timers`', String(ASSUMED.timersPerBatch)],
      ['writes a second to a history shard of Temporal', '`writes`', String(ASSUMED.writesPerShard)],
      ['fewest history shards', '', String(ASSUMED.shardsMin)],
      ['bytes of a record in a history', '`stored`', String(ASSUMED.bytesStored)],
      ['bytes of an event beside its records', '`event`', String(ASSUMED.bytesOfEvent)],
      ['inserts a second to a table on one server of ClickHouse', '`inserts`', String(ASSUMED.insertsPerServer)],
      ['dollars for a million actions of Temporal Cloud', '`price`', String(ASSUMED.dollarsPerMillionActions)],
    ],
  };
}

function needTable(costs: Measured): FigureTable {
  const plans = RATES.map((rate) => plan(rate, costs));
  const lines: [string, string, (of: ReturnType<typeof plan>) => string][] = [
    ['batchers', '`R ÷ (batcher × load)`, at least two', ({ batchers }) => number(batchers)],
    ['pods', '`R × main ÷ 1e6 ÷ load`, at least two', ({ pods }) => number(pods)],
    ['`worker.maxConcurrentFlushes`', '`batchers ÷ pods`, at least its default', ({ slots }) => number(slots)],
    ['partitions', '`R ÷ (partition × load)`, at least two a pod', ({ partitions }) => number(partitions)],
    [
      '`maxDelay` and `linger`, s',
      'the shortest with fewer writes to a batcher than `writes`',
      ({ delay }) => String(delay),
    ],
    [
      'signals a second',
      '`R × signals ÷ 1e6`, at least `pods × batchers ÷ (linger ÷ 2)`',
      ({ signals }) => perSecond(signals),
    ],
    ['batches a second', '`R × batches ÷ 1e6`, at least `batchers ÷ maxDelay`', ({ batches }) => perSecond(batches)],
    [
      'writes a second to a batcher',
      '`(3 × signals/s + 7 × batches/s) ÷ batchers`',
      ({ writes, batchers }) => perSecond(writes / batchers),
    ],
    [
      'cores a pod',
      '`((R × cpu ÷ 1e6 + (signals/s × signalCpu + batches/s × batchCpu) ÷ 1e3) ÷ pods + idle) ÷ load`',
      ({ coresPerPod }) => coresPerPod.toFixed(1),
    ],
    ['actions a second', '`signals/s + batches/s × (perBatch + timers)`', ({ actions }) => number(actions)],
    ['dollars a month for them', '`actions/s × 30 days × price ÷ 1e6`', ({ dollars }) => number(dollars)],
    ['history shards', '`(3 × signals/s + 7 × batches/s) ÷ writes`, a power of two', ({ shards }) => number(shards)],
    [
      'cores of Temporal',
      'the same with `temporal`, `signalTemporal`, `batchTemporal`',
      ({ temporalCores }) => number(temporalCores),
    ],
    [
      'GB of histories, each day of retention',
      '`(R × stored + writes/s × event) × 86,400 ÷ 1e9`',
      ({ storedPerDay }) => number(storedPerDay),
    ],
    ['inserts a second', '`R ÷ rows`, at least `batchers ÷ maxDelay`', ({ inserts }) => perSecond(inserts)],
    ['shards of ClickHouse', '`inserts/s ÷ inserts`', ({ servers }) => number(servers)],
    [
      'cores of ClickHouse',
      'the same with `clickhouse`, `batchClickhouse`',
      ({ clickhouseCores }) => number(clickhouseCores),
    ],
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
  const batchers = Math.max(ASSUMED.batchers, Math.ceil(rate / (costs.perBatcher * ASSUMED.load)));
  const pods = Math.max(ASSUMED.pods, Math.ceil((millions * costs.mainThreadPerMillion) / ASSUMED.load));
  const flowOf = (delay: number): ReturnType<typeof flow> => flow(millions, { pods, batchers, delay }, costs);
  const writesOf = (delay: number): number => flowOf(delay).writes / batchers;
  const fewest = Math.min(...ASSUMED.delaySeconds.map(writesOf));
  // Where full signals alone are more, waiting longer helps only so far.
  const delay = ASSUMED.delaySeconds.find((each) => writesOf(each) <= Math.max(fewest, ASSUMED.writesPerShard)) ?? NaN;
  const { signals, batches, writes } = flowOf(delay);
  // The costs of a record contain those of a full drain's signals and batches. Only what is more comes on top.
  const moreSignals = signals - millions * costs.signalsPerMillion;
  const moreBatches = batches - millions * costs.batchesPerMillion;
  const cpu = (part: string): number =>
    (millions * (costs.cpuPerMillion[part] ?? NaN) +
      moreSignals * (costs.cpuPerSignal[part] ?? 0) +
      moreBatches * (costs.cpuPerBatch[part] ?? 0)) /
    ASSUMED.load;
  const actions = signals + batches * (costs.actionsPerBatch + ASSUMED.timersPerBatch);
  const inserts = Math.max(rate / costs.rowsPerInsert, batchers / delay);
  return {
    batchers,
    pods,
    slots: Math.max(ASSUMED.slots, Math.ceil(batchers / pods)),
    partitions: Math.max(2 * pods, Math.ceil(rate / (costs.perPartition * ASSUMED.load))),
    delay,
    signals,
    batches,
    writes,
    coresPerPod: cpu('tested') / pods + costs.idleCores / ASSUMED.load,
    actions,
    dollars: (actions * ASSUMED.secondsPerMonth * ASSUMED.dollarsPerMillionActions) / 1_000_000,
    shards: Math.max(ASSUMED.shardsMin, 2 ** Math.ceil(Math.log2(writes / ASSUMED.writesPerShard))),
    temporalCores: Math.ceil(cpu('temporal')),
    storedPerDay: ((rate * ASSUMED.bytesStored + writes * ASSUMED.bytesOfEvent) * 86_400) / 1e9,
    inserts,
    servers: Math.ceil(inserts / ASSUMED.insertsPerServer),
    clickhouseCores: Math.ceil(cpu('clickhouse')),
    kafkaCores: Math.ceil((millions * (costs.cpuPerMillion['kafka'] ?? NaN)) / ASSUMED.load),
  };
}

/** What a second asks of Temporal, if a batch and a lane wait for so long. */
function flow(
  millions: number,
  { pods, batchers, delay }: { pods: number; batchers: number; delay: number },
  costs: Measured,
) {
  // Each pod signals each batcher by itself, after half of the delay.
  const signals = Math.max(millions * costs.signalsPerMillion, (pods * batchers) / (delay / 2));
  const batches = Math.max(millions * costs.batchesPerMillion, batchers / delay);
  return { signals, batches, writes: WRITES_A_SIGNAL * signals + WRITES_A_BATCH * batches };
}

/** The signal, and its workflow task begins and ends. Signals that come during a task share the next one. */
const WRITES_A_SIGNAL = 3;
/** The activity begins, and ends with a workflow task that begins and ends; and so does the timer before it. */
const WRITES_A_BATCH = 7;

function perSecond(count: number): string {
  return count < 10 ? count.toFixed(1) : number(count);
}
