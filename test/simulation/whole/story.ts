import type { Kind } from './checker.js';
import { PARTITIONS } from './kafka.js';
import { FATE_WORDS, type Fate } from './network.js';
import { MEMBERS, SETTING, World, WORKERS, type Setting } from './world.js';

/** What a story is made of. Numbers choose among what is there. */
export type Step =
  | { readonly type: 'write'; readonly partition: number; readonly kinds: readonly Kind[] }
  | { readonly type: 'wait'; readonly ms: number }
  | {
      readonly type: 'memberFault';
      readonly member: number;
      readonly request: MemberRequest;
      readonly fate: Fate;
      readonly ms: number;
    }
  | {
      readonly type: 'workerFault';
      readonly worker: number;
      readonly request: WorkerRequest;
      readonly fate: Fate;
      readonly ms: number;
    }
  | { readonly type: 'outage'; readonly of: Outage; readonly ms: number }
  | { readonly type: 'cutOff'; readonly who: Who; readonly of: Outage; readonly ms: number }
  | { readonly type: 'kill' | 'start' | 'restart'; readonly who: Who }
  | { readonly type: 'freeze'; readonly who: Who; readonly ms: number }
  | { readonly type: 'drain'; readonly member: number }
  | { readonly type: 'layout'; readonly member: number; readonly layout: number }
  | { readonly type: 'rebalance' }
  | { readonly type: 'terminate'; readonly batcher: number }
  | { readonly type: 'continueAsNew'; readonly batcher: number; readonly runs: number }
  | { readonly type: 'control'; readonly batcher: number; readonly action: 'pause' | 'resume' | 'flush' | 'drain' }
  | { readonly type: 'slowInsert'; readonly worker: number; readonly ms: number }
  | { readonly type: 'clickhouseDies'; readonly notesTokens: boolean }
  | { readonly type: 'noTable'; readonly ms: number }
  | { readonly type: 'rewind'; readonly to: number; readonly again: boolean }
  /** Another leader lacks the last records. Others are written in their place at once. */
  | { readonly type: 'cut'; readonly partition: number; readonly records: number; readonly kinds: readonly Kind[] }
  | { readonly type: 'loseTemporal' }
  | { readonly type: 'loseOffsets' };

type Who = { readonly member: number } | { readonly worker: number };
const MEMBER_REQUESTS = [
  'temporal.signal',
  'kafka.commit',
  'kafka.fetch',
  'kafka.lookUp',
  'kafka.heartbeat',
  'kafka.join',
  'temporal.query',
  'temporal.start',
  'temporal.describe',
] as const;
type MemberRequest = (typeof MEMBER_REQUESTS)[number];
const WORKER_REQUESTS = [
  'clickhouse.insert',
  'clickhouse.lookUp',
  'kafka.publish',
  'temporal.heartbeat',
  'temporal.respond',
  'temporal.history',
] as const;
type WorkerRequest = (typeof WORKER_REQUESTS)[number];
const OUTAGES = [
  'kafka',
  'kafka.publish.orders.replies',
  'kafka.publish.orders.dead-letters',
  'temporal',
  'clickhouse',
] as const;
type Outage = (typeof OUTAGES)[number];

/** Only these may arrive after they were given up: others are in order on their connection. */
const MAY_BE_LATE: readonly string[] = ['temporal.signal', 'clickhouse.insert'];

const STEPS_MAX = 60;

/** One story in so many has logs that are cut. */
const CUTS_EVERY = 4;
/**
 * Nobody rewinds where logs are cut: an offset that a person has set says nothing of who has written the log before it.
 * `KTB_MODEL_CUTS=any` has both.
 */
const REWINDS_CUT_LOGS = process.env['KTB_MODEL_CUTS'] === 'any';

/** A number from 0 to 1. */
type Random = () => number;

function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32;
  };
}

/** The story of a seed. */
export function storyOf(seed: number, rewindsCutLogs = REWINDS_CUT_LOGS): Step[] {
  const hasCuts = seed % CUTS_EVERY === 2;
  const random = randomOf(seed);
  const upTo = (end: number): number => Math.floor(random() * end);
  const oneOf = <T>(list: readonly T[]): T => list[upTo(list.length)]!;
  /** Mostly short, now and then so long that time-outs pass. */
  const duration = (): number => oneOf([50, 300, 1_000, 3_000, 8_000, 20_000, 45_000]);
  const who = (): Who => (random() < 0.6 ? { member: upTo(MEMBERS) } : { worker: upTo(WORKERS) });
  // Some stories have no bad records, so that their order is checked strictly.
  const badShare = oneOf([0, 0, 0.1]);
  // And some leave out what a person does.
  const isReset = random() < 0.4;
  const kinds = (): Kind[] =>
    Array.from({ length: 1 + upTo(5) }, () => (random() < badShare ? oneOf(['refused', 'noJson'] as const) : 'good'));
  const fateOf = (request: string): Fate => {
    const fate = oneOf(['lost', 'answerLost', 'late', 'slow'] as const);
    return fate === 'late' && !MAY_BE_LATE.includes(request) ? 'answerLost' : fate;
  };
  const make: Readonly<Record<Step['type'], readonly [weight: number, make: () => Step]>> = {
    write: [22, () => ({ type: 'write', partition: upTo(PARTITIONS), kinds: kinds() })],
    wait: [24, () => ({ type: 'wait', ms: oneOf([5, 15, 40, 100, 300, 300, 700, 1_500, 4_000, 12_000]) })],
    memberFault: [
      12,
      () => {
        const request = random() < 0.5 ? 'temporal.signal' : oneOf(MEMBER_REQUESTS);
        return { type: 'memberFault', member: upTo(MEMBERS), request, fate: fateOf(request), ms: duration() };
      },
    ],
    workerFault: [
      12,
      () => {
        const request = oneOf(WORKER_REQUESTS);
        return { type: 'workerFault', worker: upTo(WORKERS), request, fate: fateOf(request), ms: duration() };
      },
    ],
    outage: [2, () => ({ type: 'outage', of: oneOf(OUTAGES), ms: duration() })],
    cutOff: [3, () => ({ type: 'cutOff', who: who(), of: oneOf(OUTAGES), ms: duration() })],
    kill: [2, () => ({ type: 'kill', who: who() })],
    start: [4, () => ({ type: 'start', who: who() })],
    restart: [3, () => ({ type: 'restart', who: who() })],
    freeze: [4, () => ({ type: 'freeze', who: who(), ms: duration() })],
    drain: [1, () => ({ type: 'drain', member: upTo(MEMBERS) })],
    layout: [1, () => ({ type: 'layout', member: upTo(MEMBERS), layout: upTo(2) })],
    rebalance: [2, () => ({ type: 'rebalance' })],
    terminate: [2, () => ({ type: 'terminate', batcher: upTo(6) })],
    continueAsNew: [2, () => ({ type: 'continueAsNew', batcher: upTo(6), runs: 1 + upTo(2) })],
    control: [
      2,
      () => ({ type: 'control', batcher: upTo(6), action: oneOf(['pause', 'resume', 'flush', 'drain'] as const) }),
    ],
    slowInsert: [2, () => ({ type: 'slowInsert', worker: upTo(WORKERS), ms: duration() })],
    clickhouseDies: [1, () => ({ type: 'clickhouseDies', notesTokens: random() < 0.5 })],
    noTable: [0.5, () => ({ type: 'noTable', ms: duration() })],
    rewind: [isReset ? 3 : 0, () => ({ type: 'rewind', to: upTo(8), again: random() < 0.7 })],
    loseTemporal: [isReset ? 0.3 : 0, () => ({ type: 'loseTemporal' })],
    loseOffsets: [isReset ? 0.5 : 0, () => ({ type: 'loseOffsets' })],
    cut: [
      hasCuts ? 4 : 0,
      () => {
        const others = random() < 0.5 ? [] : kinds();
        return { type: 'cut', partition: upTo(PARTITIONS), records: upTo(8), kinds: others };
      },
    ],
  };
  // Each story has some of these more often than others, and some not at all: so one meets with what another hides.
  const all = Object.entries(make).map(([type, [weight, step]]) => {
    const share = ['write', 'wait', 'cut'].includes(type) ? 1 : oneOf([0, 1, 1, 4]);
    return [weight * share, step] as const;
  });
  const sum = all.reduce((total, [weight]) => total + weight, 0);
  const steps = Array.from({ length: 10 + upTo(STEPS_MAX - 10) }, (): Step => {
    let at = random() * sum;
    for (const [weight, step] of all) {
      at -= weight;
      if (at < 0) return step();
    }
    return { type: 'wait', ms: 1 };
  });
  return hasCuts ? [...steps.filter((step) => rewindsCutLogs || !isRewind(step)), ...writesAfterCuts(steps)] : steps;
}

/** With Temporal's data lost, a person rewinds. */
function isRewind({ type }: Step): boolean {
  return type === 'rewind' || type === 'loseTemporal';
}

/** A log that ends exactly where reading has ended shows only with its next record that it is another one. */
function writesAfterCuts(steps: readonly Step[]): Step[] {
  const lost = Array.from({ length: PARTITIONS }, () => 0);
  for (const step of steps) if (step.type === 'cut') lost[step.partition]! += step.records;
  return lost.flatMap((records, partition) =>
    records === 0
      ? []
      : [{ type: 'write', partition, kinds: Array.from({ length: records + 1 }, () => 'good' as const) }],
  );
}

/** How a story ends. */
export interface End {
  /** Null if all is well. */
  readonly violation: Error | null;
  /** What has happened, line by line, if it was to be told. */
  readonly told: readonly string[];
  readonly records: number;
  /** Records of them that were cut from their logs before anybody had them. */
  readonly gone: number;
  /** How many things have happened: messages that arrived, timers that ran out. */
  readonly happened: number;
}

/** Lets a story happen. */
export async function happen(
  steps: readonly Step[],
  seed: number,
  setting: Setting = SETTING,
  isTold = false,
): Promise<End> {
  const world = new World(seed, setting, isTold);
  let violation: Error | null = null;
  try {
    await world.begin();
    for (const step of steps) {
      await take(world, step);
      await world.pass(0);
    }
    await world.settle();
  } catch (error) {
    violation = error as Error;
  } finally {
    world.end();
  }
  const { records, gone } = world.checker;
  return { violation, told: world.told, records, gone, happened: world.clock.happened };
}

async function take(world: World, step: Step): Promise<void> {
  const partOf = (who: Who) => ('member' in who ? world.member(who.member) : world.worker(who.worker));
  switch (step.type) {
    case 'write':
      world.produce(step.partition, step.kinds);
      break;
    case 'wait':
      await world.pass(step.ms);
      break;
    case 'memberFault':
      world.fault(world.member(step.member).process, step.request, step.fate, step.ms);
      break;
    case 'workerFault':
      world.fault(world.worker(step.worker).process, step.request, step.fate, step.ms);
      break;
    case 'outage':
      world.network.cut(step.of, null, step.ms);
      world.clock.after(step.ms, null, () => world.temporal.workersChanged());
      break;
    case 'cutOff':
      world.network.cut(step.of, partOf(step.who).process, step.ms);
      world.clock.after(step.ms, null, () => world.temporal.workersChanged());
      break;
    case 'kill':
      world.kill(partOf(step.who));
      break;
    case 'start':
      if (!partOf(step.who).process.isAlive) await world.restart(partOf(step.who));
      break;
    case 'restart':
      await world.restart(partOf(step.who));
      break;
    case 'freeze':
      world.freeze(partOf(step.who), step.ms);
      break;
    case 'drain':
      await world.drain(world.member(step.member));
      break;
    case 'layout':
      await world.restart(world.member(step.member), step.layout);
      break;
    case 'rebalance':
      world.kafka.rebalance();
      break;
    case 'terminate': {
      const batcher = world.batcher(step.batcher);
      if (batcher !== null) world.terminate(batcher);
      break;
    }
    case 'continueAsNew': {
      const batcher = world.batcher(step.batcher);
      if (batcher !== null) world.temporal.suggestContinueAsNew(batcher, step.runs);
      break;
    }
    case 'control': {
      const batcher = world.batcher(step.batcher);
      if (batcher !== null) world.temporal.control(batcher, step.action);
      break;
    }
    case 'slowInsert':
      world.clickhouse.slowDown(world.worker(step.worker).process, step.ms);
      break;
    case 'clickhouseDies':
      world.clickhouse.restart(step.notesTokens);
      break;
    case 'noTable':
      world.clickhouse.missingUntilMs = world.clock.nowMs + step.ms;
      break;
    case 'rewind':
      world.rewind(step.to, step.again);
      break;
    case 'cut':
      world.cut(step.partition, step.records, step.kinds);
      break;
    case 'loseTemporal':
      world.loseTemporal();
      break;
    case 'loseOffsets':
      world.loseOffsets();
  }
}

/** A step in plain words. */
export function inWords(step: Step): string {
  const name = (who: Who): string =>
    'member' in who ? `member ${(who.member % MEMBERS) + 1}` : `worker ${(who.worker % WORKERS) + 1}`;
  const time = (ms: number): string => (ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`);
  const what = (request: string): string => REQUEST_WORDS[request] ?? request;
  switch (step.type) {
    case 'write':
      return `records are written into partition ${step.partition}: ${step.kinds.join(', ')}`;
    case 'wait':
      return `${time(step.ms)} pass`;
    case 'memberFault':
      return `the next ${what(step.request)} of ${name(step)} ${FATE_WORDS[step.fate](step.ms)}`;
    case 'workerFault':
      return `the next ${what(step.request)} of ${name(step)} ${FATE_WORDS[step.fate](step.ms)}`;
    case 'outage':
      return `${step.of} is away for ${time(step.ms)}`;
    case 'cutOff':
      return `${name(step.who)} is cut off from ${step.of} for ${time(step.ms)}`;
    case 'kill':
      return `${name(step.who)} is killed`;
    case 'start':
      return `${name(step.who)} starts, if it does not run`;
    case 'restart':
      return `${name(step.who)} is killed and starts again`;
    case 'freeze':
      return `${name(step.who)} stands still for ${time(step.ms)}`;
    case 'drain':
      return `${name(step)} stops in order`;
    case 'layout':
      return `${name(step)} starts again with ${step.layout % 2 === 0 ? 2 : 3} batchers`;
    case 'rebalance':
      return 'the group rebalances';
    case 'terminate':
      return `batcher number ${step.batcher} is terminated`;
    case 'continueAsNew':
      return `batcher number ${step.batcher} is to continue as new`;
    case 'control':
      return `a person tells batcher number ${step.batcher} to ${step.action}`;
    case 'slowInsert':
      return `the next insert of ${name(step)} runs for ${time(step.ms)}, and its connection breaks`;
    case 'clickhouseDies':
      return 'ClickHouse is killed and comes back';
    case 'noTable':
      return `the table is missing for ${time(step.ms)}`;
    case 'rewind':
      return `a person stops all members and rewinds to ${step.to}${step.again ? ', to read all of it again' : ''}`;
    case 'cut': {
      const others = step.kinds.length === 0 ? '' : `, and others are written there: ${step.kinds.join(', ')}`;
      return `the log of partition ${step.partition} loses its last ${step.records} records${others}`;
    }
    case 'loseTemporal':
      return 'the data of Temporal is lost, and a person rewinds all';
    case 'loseOffsets':
      return 'all members are killed, and the offsets of the group are lost';
  }
}

const REQUEST_WORDS: Readonly<Record<string, string>> = {
  'temporal.signal': 'signal',
  'kafka.commit': 'commit',
  'kafka.fetch': 'fetch',
  'kafka.lookUp': 'look-up in Kafka',
  'kafka.heartbeat': 'heartbeat to Kafka',
  'kafka.join': 'joining of the group',
  'temporal.query': 'query',
  'temporal.start': 'start of an heir',
  'temporal.describe': 'look at a batcher',
  'clickhouse.insert': 'insert',
  'clickhouse.lookUp': 'look-up in the table',
  'kafka.publish': 'publishing',
  'temporal.heartbeat': 'heartbeat to Temporal',
  'temporal.respond': 'result to Temporal',
  'temporal.history': 'reading of a history',
};
