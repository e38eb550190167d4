import type { Role } from './daemons.js';
import type { Asked } from './link.js';
import type { Random } from './random.js';

/** What a fault is done to. */
export type Part = 'kafka' | 'temporal' | 'clickhouse';

/** One fault, as it was drawn. */
export type Fault =
  | { readonly kind: 'daemon terminated' | 'daemon killed' | 'daemon frozen'; readonly daemon: number }
  | {
      readonly kind: 'part killed' | 'part stopped' | 'part frozen';
      readonly part: Part;
      /** Which broker. */
      readonly index: number;
    }
  | {
      readonly kind: 'link slow' | 'link reset' | 'link half-open' | 'link partitioned';
      readonly daemon: number;
      readonly part: Part;
      readonly delayMs: number;
    }
  | {
      readonly kind: 'answers dropped';
      readonly daemon: number;
      readonly part: Part;
      readonly asked: Asked;
      readonly count: number;
      /** Batchers that are terminated meanwhile: only after that something is started. */
      readonly closes: number;
    }
  | { readonly kind: 'batcher terminated' | 'batcher cancelled'; readonly batcher: number }
  | { readonly kind: 'batcher reset'; readonly batcher: number; readonly to: ResetPoint }
  | { readonly kind: 'members come and go'; readonly rounds: number }
  | { readonly kind: KindOfAll }
  | {
      readonly kind: 'layout changed';
      /** Number of batchers meanwhile. */
      readonly batchers: number;
      /** SIGKILL, not SIGTERM. */
      readonly kills: boolean;
    }
  | { readonly kind: 'partitions added'; readonly added: number }
  | {
      readonly kind: 'memory tight';
      readonly daemon: number;
      /** What V8 may take for objects. */
      readonly heapMiB: number;
    }
  | {
      readonly kind: 'clock wrong';
      readonly daemon: number;
      /** First so much ahead, then so much behind. */
      readonly shiftMs: number;
    }
  | { readonly kind: 'view failing'; readonly rows: 'all' | 'some' }
  | { readonly kind: 'burst'; readonly burst: Burst }
  | { readonly kind: 'short histories' | 'workers away'; readonly burst: Burst }
  | { readonly kind: 'signals piled up' }
  /** While no daemon runs, or under the daemons that read it. */
  | { readonly kind: 'topic made again' | 'topic made again while read'; readonly records: number }
  | {
      readonly kind: 'unclean election';
      readonly partition: number;
      /** What waits to be written comes at once in the place of what was lost. Else the log is too short for a while. */
      readonly regrows: boolean;
      /** Nothing of what is lost was committed, but Temporal has all of it, and the daemon is killed before the cut. */
      readonly uncommitted: boolean;
    }
  | { readonly kind: 'records expired'; readonly partition: number }
  | { readonly kind: 'offsets expired'; readonly partition: number }
  | {
      readonly kind: 'rewound';
      readonly partition: number;
      /** As new records. Else only what the table lacks is inserted. */
      readonly again: boolean;
    }
  | { readonly kind: 'disk full'; readonly full: DiskOwner };

/** What is done to all that there is of something. */
type KindOfAll =
  'leaders moved' | 'table away' | 'table altered' | 'table made anew' | 'offsets lost' | 'encryption key changed';

/** Records that are sent at once, beside the steady ones. */
export interface Burst {
  readonly records: number;
  /** One record of so many is bad; 0: none. */
  readonly badEvery: number;
  /** About the most bytes of a value. Small ones are as frequent as large ones, down to a byte. 0: all are as usual. */
  readonly bytesMax: number;
}

/** What a run is reset to: its last workflow task, or its first one. */
export type ResetPoint = 'last' | 'first';

/** Parts whose disk can be full. */
export type DiskOwner = 'temporal' | 'clickhouse';

export type FaultKind = Fault['kind'];

/** A fault with its time. */
export interface PlannedFault {
  /** Since the begin of the plan. */
  readonly atMs: number;
  /** How long it lasts; what is over at once has 0. */
  readonly lastsMs: number;
  readonly fault: Fault;
}

/** What the plan is made for. */
export interface Setting {
  readonly daemons: number;
  /** Of each of them. */
  readonly roles: readonly Role[];
  readonly brokers: number;
  readonly batchers: number;
  /** Of the input topic, at the begin. */
  readonly partitions: number;
  /** A member that says nothing for longer loses its partitions. */
  readonly sessionMs: number;
  /** Whose disks can be filled. */
  readonly disks: readonly DiskOwner[];
  /** Between the begins of two faults, on average. */
  readonly gapMs: number;
}

/** Nothing is done before: the daemons have to begin. */
const FIRST_AT_MS = 8_000;
/** Between the begins of two faults, as shares of the average. */
const GAP_SHARE = { min: 0.3, max: 1.7 };
/**
 * What the product waits for at most: 45 s for members of a rebalance. A workflow task has 30 s, as a session has by default, and
 * a request to a part; heartbeats of activities have 15 s.
 */
const LONGEST_TIMEOUT_MS = 45_000;
/** If what was drawn is busy with another fault. */
const DRAWS = 5;
/** A member asks Kafka once a minute how many partitions there are. */
const PARTITIONS_FOUND_MS = 70_000;
/** A broker takes requests of 1 MiB by default. */
const VALUE_BYTES_MAX = 950_000;
const PARTS: readonly Part[] = ['kafka', 'temporal', 'clickhouse'];
type AskedOf = Readonly<Partial<Record<Part, readonly Asked[]>>>;
/** What a daemon asks of a part: the rest would hit nothing. Joins are rare, so often they do not. */
const ASKED: Readonly<Record<'consumer' | 'worker', AskedOf>> = {
  consumer: {
    kafka: ['fetch', 'commit', 'heartbeat', 'joinGroup', 'syncGroup', 'any'],
    temporal: ['signal', 'start', 'describe', 'any'],
  },
  worker: {
    kafka: ['produce', 'any'],
    temporal: ['poll', 'taskCompleted', 'activityCompleted', 'activityHeartbeat', 'any'],
    clickhouse: ['insert', 'lookUp', 'any'],
  },
};

type Draw = (random: Random, setting: Setting) => { readonly fault: Fault; readonly lastsMs: number };

/** Every fault that there is, with how often it is drawn compared with the others. */
const CATALOGUE: Readonly<Record<FaultKind, { readonly weight: number; readonly draw: Draw }>> = {
  'daemon terminated': { weight: 3, draw: ofDaemon('daemon terminated', 500, 6_000) },
  'daemon killed': { weight: 4, draw: ofDaemon('daemon killed', 500, 6_000) },
  'daemon frozen': {
    weight: 4,
    draw: (random, { daemons, sessionMs }) => ({
      fault: { kind: 'daemon frozen', daemon: random.between(0, daemons - 1) },
      lastsMs: drawFreeze(random, sessionMs),
    }),
  },
  'part killed': { weight: 4, draw: ofPart('part killed', 500, 8_000) },
  'part stopped': { weight: 2, draw: ofPart('part stopped', 500, 8_000) },
  'part frozen': { weight: 3, draw: ofPart('part frozen', 500, 12_000) },
  'link slow': { weight: 2, draw: ofLink('link slow', 3_000, 12_000) },
  'link reset': { weight: 3, draw: ofLink('link reset', 0, 0) },
  'link half-open': { weight: 3, draw: ofLink('link half-open', 5_000, 25_000) },
  'link partitioned': { weight: 4, draw: ofLink('link partitioned', 1_000, 20_000) },
  'answers dropped': {
    weight: 8,
    draw: (random, setting) => {
      const { daemon, part } = drawLink(random, setting);
      const asked = random.pick<Asked>(askedOf(setting.roles[daemon])[part] ?? ['any']);
      const count = random.between(1, 5);
      const closes = asked === 'start' ? Math.min(count, setting.batchers) : 0;
      return {
        fault: { kind: 'answers dropped', daemon, part, asked, count, closes },
        // A daemon that has just been killed asks for nothing for some seconds.
        lastsMs: random.between(6_000, 16_000),
      };
    },
  },
  'batcher terminated': { weight: 3, draw: ofBatcher('batcher terminated') },
  'batcher cancelled': { weight: 2, draw: ofBatcher('batcher cancelled') },
  'batcher reset': {
    weight: 2,
    draw: (random, { batchers }) => ({
      fault: { kind: 'batcher reset', batcher: random.between(0, batchers - 1), to: random.pick(['last', 'first']) },
      lastsMs: 0,
    }),
  },
  'members come and go': {
    weight: 2,
    draw: (random) => ({
      fault: { kind: 'members come and go', rounds: random.between(1, 3) },
      lastsMs: random.between(2_000, 5_000),
    }),
  },
  'leaders moved': { weight: 2, draw: ofAll('leaders moved', 2_000, 10_000) },
  'table away': { weight: 2, draw: ofAll('table away', 1_000, 10_000) },
  'table altered': { weight: 2, draw: ofAll('table altered', 500, 6_000) },
  'table made anew': { weight: 1, draw: ofAll('table made anew', 0, 0) },
  'view failing': {
    weight: 2,
    draw: (random) => ({
      fault: { kind: 'view failing', rows: random.pick(['all', 'some']) },
      lastsMs: random.between(1_000, 10_000),
    }),
  },
  'offsets lost': { weight: 1, draw: ofAll('offsets lost', 500, 3_000) },
  'encryption key changed': { weight: 1, draw: ofAll('encryption key changed', 20_000, 40_000) },
  'layout changed': {
    weight: 2,
    draw: (random, { batchers }) => ({
      fault: { kind: 'layout changed', batchers: batchers + random.between(1, 3), kills: random.next() < 0.5 },
      lastsMs: random.between(3_000, 15_000),
    }),
  },
  'partitions added': {
    weight: 1,
    draw: (random) => ({
      fault: { kind: 'partitions added', added: random.between(1, 2) },
      lastsMs: PARTITIONS_FOUND_MS,
    }),
  },
  'memory tight': {
    weight: 2,
    draw: (random, { daemons }) => ({
      fault: { kind: 'memory tight', daemon: random.between(0, daemons - 1), heapMiB: random.between(24, 64) },
      lastsMs: random.between(5_000, 20_000),
    }),
  },
  'clock wrong': {
    weight: 2,
    draw: (random, { daemons }) => ({
      fault: {
        kind: 'clock wrong',
        daemon: random.between(0, daemons - 1),
        // Seconds to a day.
        shiftMs: Math.round(2_000 * 43_200 ** random.next()),
      },
      lastsMs: random.between(6_000, 20_000),
    }),
  },
  burst: { weight: 3, draw: (random) => ({ fault: { kind: 'burst', burst: drawBurst(random) }, lastsMs: 0 }) },
  'short histories': {
    weight: 2,
    draw: (random) => ({
      fault: { kind: 'short histories', burst: { records: random.between(5_000, 20_000), badEvery: 0, bytesMax: 0 } },
      lastsMs: random.between(5_000, 15_000),
    }),
  },
  'workers away': {
    weight: 2,
    draw: (random) => ({
      fault: { kind: 'workers away', burst: { records: random.between(2_000, 20_000), badEvery: 100, bytesMax: 0 } },
      lastsMs: random.between(5_000, 30_000),
    }),
  },
  'signals piled up': {
    weight: 1,
    draw: (random) => ({ fault: { kind: 'signals piled up' }, lastsMs: random.between(30_000, 90_000) }),
  },
  'topic made again': {
    weight: 1,
    draw: (random) => ({
      fault: { kind: 'topic made again', records: random.between(1, 1_000) },
      lastsMs: random.between(0, 3_000),
    }),
  },
  'topic made again while read': {
    weight: 1,
    draw: (random) => ({
      fault: { kind: 'topic made again while read', records: random.between(1, 1_000) },
      // Its id is looked at every ten seconds. It is over as soon as that was seen.
      lastsMs: random.between(20_000, 40_000),
    }),
  },
  'unclean election': {
    weight: 1,
    draw: (random, { partitions }) => ({
      fault: {
        kind: 'unclean election',
        partition: random.between(0, partitions - 1),
        regrows: random.next() < 0.5,
        uncommitted: random.next() < 0.5,
      },
      lastsMs: random.between(0, 8_000),
    }),
  },
  'offsets expired': {
    weight: 1,
    draw: (random, { partitions }) => ({
      fault: { kind: 'offsets expired', partition: random.between(0, partitions - 1) },
      lastsMs: random.between(500, 3_000),
    }),
  },
  'records expired': {
    weight: 1,
    draw: (random, { partitions }) => ({
      fault: { kind: 'records expired', partition: random.between(0, partitions - 1) },
      lastsMs: random.between(2_000, 8_000),
    }),
  },
  rewound: {
    weight: 2,
    draw: (random, { partitions }) => ({
      fault: { kind: 'rewound', partition: random.between(0, partitions - 1), again: random.next() < 0.5 },
      lastsMs: random.between(0, 3_000),
    }),
  },
  'disk full': {
    weight: 2,
    draw: (random, { disks }) => ({
      fault: { kind: 'disk full', full: random.pick(disks) },
      lastsMs: random.between(5_000, 15_000),
    }),
  },
};

export const FAULT_KINDS = Object.keys(CATALOGUE) as FaultKind[];

/**
 * Draws faults for so long. They may overlap, as long as no two are done to the same thing.
 *
 * @param only of these kinds
 */
export function drawPlan(random: Random, setting: Setting, forMs: number, only?: readonly FaultKind[]): PlannedFault[] {
  const plan: PlannedFault[] = [];
  const kinds = (only ?? FAULT_KINDS)
    .filter((kind) => kind !== 'disk full' || setting.disks.length > 0)
    .flatMap((kind) => Array.from({ length: CATALOGUE[kind].weight }, () => kind));
  if (kinds.length === 0) return plan;
  const gap = (): number =>
    Math.round(setting.gapMs * (GAP_SHARE.min + random.next() * (GAP_SHARE.max - GAP_SHARE.min)));
  for (let atMs = FIRST_AT_MS; atMs < forMs; atMs += gap()) {
    for (let draw = 0; draw < DRAWS; draw++) {
      const { fault, lastsMs } = CATALOGUE[random.pick(kinds)].draw(random, setting);
      if (plan.some((other) => other.atMs + other.lastsMs > atMs && overlap(other.fault, fault))) continue;
      plan.push({ atMs, lastsMs, fault });
      break;
    }
  }
  return plan;
}

/** A daemon, and a part that it talks to. */
function drawLink(random: Random, { daemons, roles }: Setting): { readonly daemon: number; readonly part: Part } {
  const daemon = random.between(0, daemons - 1);
  return { daemon, part: random.pick(PARTS.filter((part) => part in askedOf(roles[daemon]))) };
}

function askedOf(role: Role = 'both'): AskedOf {
  if (role !== 'both') return ASKED[role];
  const of = (part: Part): Asked[] => [...new Set([...(ASKED.consumer[part] ?? []), ...(ASKED.worker[part] ?? [])])];
  return { kafka: of('kafka'), temporal: of('temporal'), clickhouse: of('clickhouse') };
}

/** Whether two faults may not be there at once: of three brokers two are needed, and what is away cannot be frozen. */
export function overlap(one: Fault, other: Fault): boolean {
  const ofOther = thingsOf(other);
  return thingsOf(one).some((thing) =>
    ofOther.some((another) => thing === another || isPartOf(thing, another) || isPartOf(another, thing)),
  );
}

/** Who stops all daemons wants none to be started meanwhile. */
function isPartOf(thing: string, all: string): boolean {
  return all === ALL_DAEMONS && (thing.startsWith('daemon ') || thing === GUEST);
}

/** The names of what a fault is done to: one after the other, as what was killed takes its time to come back. */
function thingsOf(fault: Fault): readonly string[] {
  if ('asked' in fault || 'delayMs' in fault) return [`link ${fault.daemon} ${fault.part}`];
  if ('daemon' in fault) return [`daemon ${fault.daemon}`];
  if ('part' in fault) return [fault.part];
  // ALTER on a full disk can leave ClickHouse an empty definition of the view, which nothing mends.
  if ('full' in fault) return fault.full === 'clickhouse' ? ['clickhouse', 'table'] : [fault.full];
  if ('batcher' in fault) return [`batcher ${fault.batcher}`];
  return THINGS[fault.kind];
}

const ALL_DAEMONS = 'all daemons';
const GUEST = 'guest';
const REMADE = 'remade topic';
const THINGS: Readonly<
  Record<
    Exclude<
      FaultKind,
      Extract<Fault, { daemon: number } | { part: Part } | { batcher: number } | { full: DiskOwner }>['kind']
    >,
    readonly string[]
  >
> = {
  'members come and go': [GUEST],
  'leaders moved': ['kafka'],
  'table away': ['table'],
  'table altered': ['table'],
  'table made anew': ['table'],
  'view failing': ['table'],
  'offsets lost': [ALL_DAEMONS],
  'layout changed': [ALL_DAEMONS],
  'encryption key changed': [ALL_DAEMONS],
  'short histories': [ALL_DAEMONS],
  'workers away': [ALL_DAEMONS],
  // What is signalled has to be there, and to answer.
  'signals piled up': [ALL_DAEMONS, 'temporal'],
  'topic made again': [ALL_DAEMONS, REMADE],
  'topic made again while read': [REMADE],
  // What is deliberately read again would be read of the lost log, or of what comes in its place.
  'unclean election': ['kafka', ALL_DAEMONS],
  'offsets expired': [ALL_DAEMONS],
  'records expired': [ALL_DAEMONS],
  rewound: [ALL_DAEMONS],
  'partitions added': ['partitions'],
  burst: ['burst'],
};

/** In words, for the journal and the screen. */
export function describeFault({ fault, lastsMs }: PlannedFault): string {
  const seconds = lastsMs === 0 ? '' : `, ${(lastsMs / 1_000).toFixed(1)} s`;
  const subject = subjectOf(fault);
  return `${fault.kind}${subject === '' ? '' : `: ${subject}`}${seconds}`;
}

function subjectOf(fault: Fault): string {
  if ('asked' in fault) {
    const closed = fault.closes === 0 ? '' : `, while ${fault.closes} batchers are terminated`;
    return `daemon ${fault.daemon + 1} from ${fault.part}, ${fault.count} of ${fault.asked}${closed}`;
  }
  if ('delayMs' in fault) {
    const delay = fault.kind === 'link slow' ? `, by ${fault.delayMs} ms` : '';
    return `daemon ${fault.daemon + 1} to ${fault.part}${delay}`;
  }
  if ('heapMiB' in fault) return `daemon ${fault.daemon + 1}, a heap of ${fault.heapMiB} MiB`;
  if ('shiftMs' in fault) return `daemon ${fault.daemon + 1}, by ${(fault.shiftMs / 1_000).toFixed(1)} s`;
  if ('daemon' in fault) return `daemon ${fault.daemon + 1}`;
  if ('part' in fault) return fault.part === 'kafka' ? `broker ${fault.index + 1}` : fault.part;
  if ('to' in fault) return `batcher ${fault.batcher}, to its ${fault.to} task`;
  if ('batcher' in fault) return `batcher ${fault.batcher}`;
  if ('rounds' in fault) return `${fault.rounds} times`;
  if ('batchers' in fault) return `${fault.batchers} batchers, by ${fault.kills ? 'kills' : 'restarts'}`;
  if ('records' in fault) return `with ${fault.records} records`;
  if ('added' in fault) return `${fault.added} more`;
  if ('burst' in fault) return describeBurst(fault.burst);
  if ('again' in fault)
    return `partition ${fault.partition}, ${fault.again ? 'as new records' : 'what the table lacks'}`;
  if ('regrows' in fault) {
    const then = fault.regrows ? 'is longer again at once' : 'is too short for a while';
    const what = fault.uncommitted ? ', of what is accepted and not committed' : '';
    return `partition ${fault.partition}, whose log ${then}${what}`;
  }
  if ('partition' in fault) return `partition ${fault.partition}`;
  if ('rows' in fault) return `${fault.rows} rows`;
  if ('full' in fault) return fault.full;
  return '';
}

function describeBurst({ records, badEvery, bytesMax }: Burst): string {
  const bad = badEvery === 0 ? '' : `, one in ${badEvery} bad`;
  return `${records} records${bad}${bytesMax === 0 ? '' : `, of 1 to ${bytesMax} bytes`}`;
}

/** Many records, fewer of which many are bad, or some of every size. */
function drawBurst(random: Random): Burst {
  switch (random.pick(['many', 'bad', 'sizes'] as const)) {
    case 'many':
      return { records: random.between(5_000, 20_000), badEvery: 0, bytesMax: 0 };
    case 'bad':
      return { records: random.between(1_000, 5_000), badEvery: random.between(10, 50), bytesMax: 0 };
    case 'sizes':
      return { records: random.between(50, 300), badEvery: 0, bytesMax: VALUE_BYTES_MAX };
  }
}

/**
 * Half of the time the group gives the daemon's partitions away meanwhile. In half of that time it wakes after everything that
 * somebody waits for: its session, a rebalance, workflow tasks, heartbeats, answers of requests.
 */
function drawFreeze(random: Random, sessionMs: number): number {
  const draw = random.next();
  if (draw < 0.5) return random.between(500, 3_000);
  if (draw < 0.75) return random.between(sessionMs + 1_000, sessionMs + 8_000);
  return random.between(LONGEST_TIMEOUT_MS + 2_000, LONGEST_TIMEOUT_MS + 15_000);
}

function ofAll(kind: KindOfAll, minMs: number, maxMs: number): Draw {
  return (random) => ({ fault: { kind }, lastsMs: random.between(minMs, maxMs) });
}

function ofDaemon(kind: 'daemon terminated' | 'daemon killed', minMs: number, maxMs: number): Draw {
  return (random, { daemons }) => ({
    fault: { kind, daemon: random.between(0, daemons - 1) },
    lastsMs: random.between(minMs, maxMs),
  });
}

function ofPart(kind: 'part killed' | 'part stopped' | 'part frozen', minMs: number, maxMs: number): Draw {
  return (random, { brokers }) => ({
    fault: { kind, part: random.pick(PARTS), index: random.between(0, brokers - 1) },
    lastsMs: random.between(minMs, maxMs),
  });
}

function ofLink(
  kind: 'link slow' | 'link reset' | 'link half-open' | 'link partitioned',
  minMs: number,
  maxMs: number,
): Draw {
  return (random, setting) => ({
    fault: { kind, ...drawLink(random, setting), delayMs: random.between(50, 1_500) },
    lastsMs: random.between(minMs, maxMs),
  });
}

function ofBatcher(kind: 'batcher terminated' | 'batcher cancelled'): Draw {
  return (random, { batchers }) => ({ fault: { kind, batcher: random.between(0, batchers - 1) }, lastsMs: 0 });
}
