import type { Latency } from '../bench/latency.js';
import type { Run } from '../bench/run.js';
import { actionsOf, signalActionsOf } from '../bench/counters.js';
import { BASELINE, benchMessage } from '../bench/scenario.js';
import type { SweepPoint } from '../bench/sweep.js';
import { MAIN, medianCpu, number, rowsAnInsert, spread, type FigureTable } from '../bench/tables.js';
import { SHARE_AIMED_AT } from '../src/consumer/lanes/laneSender.js';
import { flowControlLimits } from '../src/temporal/flowControl.js';
import { CHUNK_BYTES_GOAL } from '../src/protocol/payloadLimit.js';
import { memoryBytesOf } from '../src/protocol/recordLimit.js';
import { lastRunWith, madeBy, markdown, sweepPoints } from './benchmarks.js';

/** What is planned for: bytes of a value, and rates. A size has to be one of the sweep's. */
const PLANS = [
  { bytes: 200, rates: [100, 10_000, 100_000, 1_000_000] },
  { bytes: 1_000, rates: [100, 10_000, 30_000, 100_000] },
  { bytes: 10_000, rates: [100, 1_000, 3_000, 10_000] },
];

const MIB = 1024 * 1024;

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
  /** Memory of a process at full load with its defaults, and of each slot more: docs/operations.md. */
  podMib: 510,
  slotMib: 60,
  /** The chart's limit, and room above what was seen. */
  podLimitMib: 1_024,
  podRoom: 1.5,
  /** Bytes of an event in a history, beside the records that it carries. */
  bytesOfEvent: 200,
  /** Writes to a workflow's history that one shard takes a second. */
  writesPerShard: 20,
  shardsMin: 512,
  /** Inserts a second that one server of ClickHouse takes for one table, before its merges fall behind. */
  insertsPerServer: 10,
  /** List price of Temporal Cloud, before discounts: docs.temporal.io/cloud/pricing. */
  dollarsPerMillionActions: 50,
  /** The same page: retained storage. */
  dollarsPerGigabyteHour: 0.00105,
  /** What `ktb check` asks for. A namespace of Temporal Cloud begins with 30. */
  retentionDays: 7,
  secondsPerMonth: 30 * 24 * 3_600,
  /** Values of batch.maxDelay and signal.linger to choose from: their default, and up to the longest linger. */
  delaySeconds: [1, 2, 5, 10],
  /** With several consumers a batcher waits for the second half of batch.maxDelay itself, by a timer. */
  timersPerBatch: 1,
  /** A batch of that many bytes is always stored once: a quarter of the history with which a run continues as new. */
  storedOnceBytes: MIB,
  /** What a full signal adds to a history, until the namespace's retention is over. */
  bytesOfSignal: CHUNK_BYTES_GOAL,
  /** Values of maxBuffered to choose from, in MiB: the default, and larger ones. */
  bufferedMib: [48, 96, 192, 384],
  /** Defaults of flow.maxHistory and flow.checkEvery. */
  flow: { historyBytesMax: 8 * MIB, checkEveryBytes: 2 * MIB },
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
  /** Bytes of a record that waits in a lane. */
  readonly recordMemory: number;
}

/** The figures of docs/capacity.md. */
export function capacityReference(runs: readonly Run[]): string {
  const costs = measured(runs);
  const drains = lastRunWith(runs, 'drains');
  const bySize = PLANS.map(({ bytes, rates }) => ({ bytes, rates, costs: ofSize(costs, bytes, runs) }));
  return [
    '## Measured',
    madeBy(drains),
    markdown(costTable(bySize)),
    '## Assumed',
    markdown(assumptionTable()),
    ...bySize.flatMap((size) => [`## Needed for values of ${number(size.bytes)} bytes`, markdown(needTable(size))]),
    '',
  ].join('\n\n');
}

interface SizeToPlan {
  readonly bytes: number;
  readonly rates: readonly number[];
  readonly costs: Measured;
}

/**
 * The costs of records of another size. The sweep's drains are short, so processor time and rates are scaled by what they
 * are in its drain of the baseline.
 */
function ofSize(costs: Measured, bytes: number, runs: readonly Run[]): Measured {
  if (bytes === BASELINE.bytes) return costs;
  const sweep = sweepPoints(runs);
  const pointOf = (size: number): SweepPoint => {
    const found = sweep.find(({ factor, point }) => factor === 'size' && point === number(size));
    if (found === undefined) throw new Error(`the sweep has no values of ${size} bytes`);
    return found;
  };
  const [base, point] = [pointOf(BASELINE.bytes), pointOf(bytes)];
  const { counts, records, cpuSecondsPerMillion: cpu } = point;
  const rate = point.recordsPerSecond / base.recordsPerSecond;
  const perMillion = (count: number): number => (count * 1_000_000) / records;
  return {
    ...costs,
    cpuPerMillion: Object.fromEntries(
      Object.entries(costs.cpuPerMillion).map(([part, seconds]) => {
        return [part, (seconds * (cpu[part] ?? NaN)) / (base.cpuSecondsPerMillion[part] ?? NaN)];
      }),
    ),
    mainThreadPerMillion:
      (costs.mainThreadPerMillion * point.mainThreadSecondsPerMillion) / base.mainThreadSecondsPerMillion,
    signalsPerMillion: perMillion(counts.signals),
    batchesPerMillion: perMillion(counts.flushes),
    rowsPerInsert: rowsAnInsert(counts),
    perPartition: costs.perPartition * rate,
    perBatcher: costs.perBatcher * rate,
    recordMemory: memoryOf(bytes),
  };
}

function memoryOf(bytes: number): number {
  const { key, value } = benchMessage({ ...BASELINE, bytes }, 1);
  return memoryBytesOf({ records: 1, headers: 0 }, key.length + value.length);
}

function measured(runs: readonly Run[]): Measured {
  const bridge = lastRunWith(runs, 'drains').drains.filter(({ variant }) => variant === MAIN);
  const { counts, records = NaN } = bridge.at(-1) ?? {};
  if (counts === undefined) throw new Error('no file in bench/results has drains of the bridge');
  const sweep = sweepPoints(runs);
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
    recordMemory: memoryOf(BASELINE.bytes),
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

function costTable(sizes: readonly SizeToPlan[]): FigureTable {
  const milliseconds = (seconds: number | undefined): string => ((seconds ?? NaN) * 1_000).toFixed(0);
  const cpu =
    (part: string) =>
    (of: Measured): string =>
      (of.cpuPerMillion[part] ?? NaN).toFixed(1);
  const lines: [string, string, (of: Measured) => string][] = [
    ['CPU seconds of the bridge, a million records', '`cpu`', cpu('tested')],
    ['of which in its main thread', '`main`', (of) => of.mainThreadPerMillion.toFixed(1)],
    ['CPU seconds of Kafka, a million records', '`kafka`', cpu('kafka')],
    ['CPU seconds of Temporal, a million records', '`temporal`', cpu('temporal')],
    ['CPU seconds of ClickHouse, a million records', '`clickhouse`', cpu('clickhouse')],
    [
      'CPU milliseconds of the bridge, a batch of a few records',
      '`batchCpu`',
      (of) => milliseconds(of.cpuPerBatch['tested']),
    ],
    ['CPU milliseconds of Temporal, a batch', '`batchTemporal`', (of) => milliseconds(of.cpuPerBatch['temporal'])],
    [
      'CPU milliseconds of ClickHouse, a batch',
      '`batchClickhouse`',
      (of) => milliseconds(of.cpuPerBatch['clickhouse']),
    ],
    ['CPU milliseconds of the bridge, a signal', '`signalCpu`', (of) => milliseconds(of.cpuPerSignal['tested'])],
    ['CPU milliseconds of Temporal, a signal', '`signalTemporal`', (of) => milliseconds(of.cpuPerSignal['temporal'])],
    ['cores of a process with next to nothing to do', '`idle`', (of) => of.idleCores.toFixed(2)],
    ['full signals, a million records', '`signals`', (of) => number(of.signalsPerMillion)],
    ['full batches, a million records', '`batches`', (of) => number(of.batchesPerMillion)],
    ['actions a batch, beside its signals', '`perBatch`', (of) => of.actionsPerBatch.toFixed(2)],
    ['rows a full insert', '`rows`', (of) => number(of.rowsPerInsert)],
    ['records/s through one partition', '`partition`', (of) => number(of.perPartition)],
    ['records/s through one batcher', '`batcher`', (of) => number(of.perBatcher)],
    ['bytes of a record that waits for its signal', '`memory`', (of) => number(of.recordMemory)],
  ];
  return {
    head: ['', 'symbol', ...sizes.map(({ bytes }) => `${number(bytes)} bytes`)],
    rows: lines.map(([name, symbol, cell]) => [name, symbol, ...sizes.map(({ costs }) => cell(costs))]),
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
      ['MiB of a process at full load with its defaults', '`pod`', String(ASSUMED.podMib)],
      ['MiB of a slot more', '`slot`', String(ASSUMED.slotMib)],
      ['bytes of a full signal in a history', '`stored`', number(ASSUMED.bytesOfSignal)],
      ['bytes of an event beside its records', '`event`', String(ASSUMED.bytesOfEvent)],
      ['inserts a second to a table on one server of ClickHouse', '`inserts`', String(ASSUMED.insertsPerServer)],
      ['dollars for a million actions of Temporal Cloud', '`price`', String(ASSUMED.dollarsPerMillionActions)],
      ['dollars for a GB of histories and hour', '`storage`', String(ASSUMED.dollarsPerGigabyteHour)],
      ['days of retention', '`days`', String(ASSUMED.retentionDays)],
    ],
  };
}

function needTable({ rates, costs }: SizeToPlan): FigureTable {
  const plans = rates.map((rate) => plan(rate, costs));
  const lines: [string, string, (of: ReturnType<typeof plan>) => string][] = [
    ['pods', '`R × main ÷ 1e6 ÷ load`, at least two', ({ pods }) => number(pods)],
    [
      'batchers',
      'the larger of `R ÷ (batcher × load)` and `(3 × full + 7 × fullBatches) ÷ writes`, at least two; up to twice as many for a shorter `maxDelay`',
      ({ batchers }) => number(batchers),
    ],
    [
      '`maxDelay` and `linger`, s',
      'the shortest for which a batcher has at most `writes`',
      ({ delay }) => String(delay),
    ],
    [
      '`maxBuffered`, MiB',
      'the least for which a batcher has at most `writes`',
      ({ bufferedMib }) => number(bufferedMib),
    ],
    ['`worker.maxConcurrentFlushes`', '`batchers ÷ pods`, at least its default', ({ slots }) => number(slots)],
    [
      'limit of memory a pod, MiB',
      '`(pod + maxBuffered − 48 + slot × (maxConcurrentFlushes − 3)) × 1.5`, at least 1,024',
      ({ podMib }) => number(podMib),
    ],
    ['partitions', '`R ÷ (partition × load)`, at least two a pod', ({ partitions }) => number(partitions)],
    [
      'signals a second',
      'the largest of `full = R × signals ÷ 1e6 × max(1, pods ÷ 13.5)`, `pods × batchers ÷ (linger ÷ 2)` and `R × 2 × max(4, batchers) × memory ÷ maxBuffered`',
      ({ signals }) => perSecond(signals),
    ],
    [
      'batches a second',
      'the larger of `fullBatches = R × batches ÷ 1e6` and `batchers ÷ maxDelay`',
      ({ batches }) => perSecond(batches),
    ],
    [
      'writes a second to a batcher',
      '`(3 × signals/s + 7 × batches/s) ÷ batchers`',
      ({ writes, batchers }) => perSecond(writes / batchers),
    ],
    [
      'cores a pod',
      '`((R × cpu ÷ 1e6 + (signals/s − full) × signalCpu ÷ 1e3 + (batches/s − fullBatches) × batchCpu ÷ 1e3) ÷ pods + idle) ÷ load`',
      ({ coresPerPod }) => coresPerPod.toFixed(1),
    ],
    ['actions a second', '`signals/s + batches/s × (perBatch + timers)`', ({ actions }) => number(actions)],
    ['dollars a month for them', '`actions/s × 30 days × price ÷ 1e6`', ({ dollars }) => number(dollars)],
    [
      'the same, if `maxDelay` and `linger` are 10 s',
      'with the batchers and the `maxBuffered` for that',
      ({ slowDollars }) => number(slowDollars),
    ],
    ['history shards', '`(3 × signals/s + 7 × batches/s) ÷ writes`, a power of two', ({ shards }) => number(shards)],
    [
      'cores of Temporal',
      '`(R × temporal ÷ 1e6 + (signals/s − full) × signalTemporal ÷ 1e3 + (batches/s − fullBatches) × batchTemporal ÷ 1e3) ÷ load`',
      ({ temporalCores }) => number(temporalCores),
    ],
    [
      'GB of histories, each day of retention',
      '`(R × signals ÷ 1e6 × stored + writes/s × event) × 86,400 ÷ 1e9`; the first term twice if a batch has less than 1 MiB of it',
      ({ storedPerDay }) => number(storedPerDay),
    ],
    ['dollars a month for histories', '`GB × days × 30 × 24 × storage`', ({ storedDollars }) => number(storedDollars)],
    ['inserts a second', 'the larger of `R ÷ rows` and `batchers ÷ maxDelay`', ({ inserts }) => perSecond(inserts)],
    ['shards of ClickHouse', '`inserts/s ÷ inserts`', ({ servers }) => number(servers)],
    [
      'cores of ClickHouse',
      '`(R × clickhouse ÷ 1e6 + (batches/s − fullBatches) × batchClickhouse ÷ 1e3) ÷ load`',
      ({ clickhouseCores }) => number(clickhouseCores),
    ],
    ['cores of Kafka', '`R × kafka ÷ 1e6 ÷ load`', ({ kafkaCores }) => number(kafkaCores)],
  ];
  return {
    head: ['', 'formula', ...rates.map((rate) => `${number(rate)} records/s`)],
    rows: lines.map(([name, formula, cell]) => [name, formula, ...plans.map(cell)]),
  };
}

/** What a rate of records/s needs. */
function plan(rate: number, costs: Measured) {
  const millions = rate / 1_000_000;
  const pods = Math.max(ASSUMED.pods, Math.ceil((millions * costs.mainThreadPerMillion) / ASSUMED.load));
  const { batchers, delay, bufferedMib } = settingsFor(millions, pods, costs, ASSUMED.delaySeconds);
  const slow = settingsFor(millions, pods, costs, ASSUMED.delaySeconds.slice(-1));
  const { signals, batches, writes } = flow(millions, { pods, batchers, delay, bufferedMib }, costs);
  const full = fullSignals(millions, pods, costs);
  // The costs of a record contain those of a full drain's signals and batches. Only what is more comes on top.
  const moreBatches = batches - millions * costs.batchesPerMillion;
  const cpu = (part: string): number =>
    (millions * (costs.cpuPerMillion[part] ?? NaN) +
      (signals - full) * (part === 'clickhouse' ? 0 : (costs.cpuPerSignal[part] ?? 0)) +
      moreBatches * (costs.cpuPerBatch[part] ?? 0)) /
    ASSUMED.load;
  const storedBytes = millions * costs.signalsPerMillion * ASSUMED.bytesOfSignal;
  const actionsOfFlow = (of: { readonly signals: number; readonly batches: number }): number =>
    of.signals + of.batches * (costs.actionsPerBatch + ASSUMED.timersPerBatch);
  const dollarsOf = (actions: number): number =>
    (actions * ASSUMED.secondsPerMonth * ASSUMED.dollarsPerMillionActions) / 1_000_000;
  const actions = actionsOfFlow({ signals, batches });
  const storedPerDay =
    ((storedBytes * (storedBytes / batches < ASSUMED.storedOnceBytes ? 2 : 1) + writes * ASSUMED.bytesOfEvent) *
      86_400) /
    1e9;
  const inserts = Math.max(rate / costs.rowsPerInsert, batchers / delay);
  const slots = Math.max(ASSUMED.slots, Math.ceil(batchers / pods));
  return {
    batchers,
    pods,
    delay,
    bufferedMib,
    slots,
    podMib: Math.max(
      ASSUMED.podLimitMib,
      (ASSUMED.podMib + bufferedMib - (ASSUMED.bufferedMib[0] ?? NaN) + ASSUMED.slotMib * (slots - ASSUMED.slots)) *
        ASSUMED.podRoom,
    ),
    partitions: Math.max(2 * pods, Math.ceil(rate / (costs.perPartition * ASSUMED.load))),
    signals,
    batches,
    writes,
    coresPerPod: cpu('tested') / pods + costs.idleCores / ASSUMED.load,
    actions,
    dollars: dollarsOf(actions),
    slowDollars: dollarsOf(actionsOfFlow(flow(millions, { pods, ...slow }, costs))),
    shards: Math.max(ASSUMED.shardsMin, 2 ** Math.ceil(Math.log2(writes / ASSUMED.writesPerShard))),
    temporalCores: Math.ceil(cpu('temporal')),
    storedPerDay,
    storedDollars:
      (storedPerDay * ASSUMED.retentionDays * ASSUMED.secondsPerMonth * ASSUMED.dollarsPerGigabyteHour) / 3_600,
    inserts,
    servers: Math.ceil(inserts / ASSUMED.insertsPerServer),
    clickhouseCores: Math.ceil(cpu('clickhouse')),
    kafkaCores: Math.ceil((millions * (costs.cpuPerMillion['kafka'] ?? NaN)) / ASSUMED.load),
  };
}

interface FlowSettings {
  readonly batchers: number;
  readonly delay: number;
  readonly bufferedMib: number;
}

/** The settings with which no batcher has more writes than are planned: the shortest delay, then few batchers, then little memory. */
function settingsFor(millions: number, pods: number, costs: Measured, delays: readonly number[]): FlowSettings {
  const fullWrites = WRITES_A_SIGNAL * fullSignals(1, pods, costs) + WRITES_A_BATCH * costs.batchesPerMillion;
  const fewest = Math.max(
    ASSUMED.batchers,
    Math.ceil((millions * 1_000_000) / (costs.perBatcher * ASSUMED.load)),
    Math.ceil((millions * fullWrites) / ASSUMED.writesPerShard),
  );
  for (const delay of delays)
    for (let batchers = fewest; batchers <= 2 * fewest; batchers++)
      for (const bufferedMib of ASSUMED.bufferedMib) {
        const { writes } = flow(millions, { pods, batchers, delay, bufferedMib }, costs);
        if (writes / batchers <= ASSUMED.writesPerShard) return { batchers, delay, bufferedMib };
      }
  throw new Error(`no settings are enough for ${millions} million records a second`);
}

/** Signals a second, if all are full. With many members they are smaller, see `flowControlLimits`. */
function fullSignals(millions: number, pods: number, { signalsPerMillion }: Measured): number {
  const { signalBytesMax } = flowControlLimits(ASSUMED.flow, pods);
  return millions * signalsPerMillion * Math.max(1, CHUNK_BYTES_GOAL / (signalBytesMax * SHARE_AIMED_AT));
}

/** What a second asks of Temporal, if a batch and a lane wait for so long. */
function flow(
  millions: number,
  { pods, batchers, delay, bufferedMib }: FlowSettings & { readonly pods: number },
  costs: Measured,
) {
  const signals = Math.max(
    fullSignals(millions, pods, costs),
    // Each pod signals each batcher by itself, after half of the delay.
    (pods * batchers) / (delay / 2),
    // A lane with half of its share of `maxBuffered` waits no longer, see `lingerBytesMax`.
    (millions * 1_000_000 * costs.recordMemory * 2 * Math.max(4, batchers)) / (bufferedMib * MIB),
  );
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
