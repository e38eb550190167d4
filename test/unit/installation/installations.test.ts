import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { completeClaim, EVIDENCE_MAX, judgeClaim, type Claim, type Evidence } from '../../../src/installation/claim.js';
import type { StoredClaim } from '../../../src/installation/claims.js';
import type { Use } from '../../../src/installation/judgeGroups.js';
import { Installations, OtherInstallationError } from '../../../src/installation/installations.js';
import { settings } from '../../support/chunks.js';

/** Claims in memory, in whose place each method gives way to others first, as Temporal does. */
class MemoryClaims {
  readonly stored = new Map<string, StoredClaim>();
  #runs = 0;

  async read(name: string): Promise<StoredClaim | null> {
    await Promise.resolve();
    return this.stored.get(name) ?? null;
  }

  async create(name: string, claim: Claim): Promise<boolean> {
    await Promise.resolve();
    if (this.stored.has(name)) return false;
    this.stored.set(name, { runId: `run-${++this.#runs}`, claim });
    return true;
  }

  async replace(name: string, { runId }: StoredClaim, claim: Claim): Promise<boolean> {
    await Promise.resolve();
    if (this.stored.get(name)?.runId !== runId) return false;
    this.stored.delete(name);
    return this.create(name, claim);
  }
}

interface SetUp {
  readonly evidence: Evidence;
  readonly pipelines: readonly string[];
  readonly installation?: string;
  /** Pipelines whose groups are used already. */
  readonly used?: readonly string[];
  /** Pipelines about whose groups Kafka does not let this process ask. */
  readonly unknown?: readonly string[];
  /** Pipelines about whose groups Kafka does not answer. */
  readonly unanswered?: readonly string[];
  /** Pipelines whose groups the configuration names. */
  readonly named?: readonly string[];
  /** Pipelines that have batchers in this namespace, of version 0.1.0. */
  readonly batchersOf?: readonly string[];
  /** The installation that those batchers name. Default: none. */
  readonly batchersName?: string;
  /** The task queue of that installation. Default: that of the configuration. */
  readonly batchersQueue?: string;
  /** Whether those batchers were drained. Default: no. */
  readonly drained?: boolean;
}

function member(
  claims: MemoryClaims,
  { evidence, pipelines, installation, ...asked }: SetUp,
  role = 'worker',
  isAway = () => false,
): Installations {
  const {
    used = [],
    unknown = [],
    unanswered = [],
    named = [],
    batchersOf = [],
    batchersName,
    batchersQueue = 'q',
    drained = false,
  } = asked;
  const known = role === 'worker' ? evidence : { ...evidence, ids: [] };
  return new Installations({
    config: {
      installation: installation ?? null,
      temporal: { taskQueue: 'q' },
      pipelines: pipelines.map((name) => ({ name, settings: settings() })) as never,
    },
    claims,
    evidence: () =>
      isAway() ? Promise.reject(new Error('away')) : Promise.resolve(new Map(pipelines.map((name) => [name, known]))),
    groupUse: {
      groupOf: (name) => {
        const use = used.includes(name) ? { how: 'it has 2 members' } : ('unused' as const);
        const group = { groupId: `ktb-${name}`, isNamed: named.includes(name) };
        const answer = (): Promise<Use> =>
          unanswered.includes(name)
            ? Promise.reject(new Error('no answer about the group'))
            : Promise.resolve(unknown.includes(name) ? 'unknown' : use);
        return { ...group, use: answer };
      },
      batchersOf: (name) =>
        Promise.resolve(
          batchersOf.includes(name)
            ? {
                installation: batchersName === undefined ? null : { name: batchersName, taskQueue: batchersQueue },
                drained,
              }
            : null,
        ),
    },
    mayName: role === 'worker',
  });
}

const HERE: Evidence = { kafka: 'k1', addresses: ['ch1:8123/default'], ids: ['server-1/default'] };
const THERE: Evidence = { kafka: 'k1', addresses: ['ch2:8123/default'], ids: ['server-2/default'] };

describe('an installation', () => {
  it('that is alone uses the task queue as it is, and names itself', async () => {
    const claims = new MemoryClaims();
    const installations = member(claims, { evidence: HERE, pipelines: ['a', 'b'] });
    await installations.settle();
    expect(installations.taskQueues).toEqual(['q']);
    expect(installations.of('a')).toEqual(installations.of('b'));
    const configured = settings();
    const sent = installations.settingsOf({ name: 'a', settings: configured });
    expect(sent.installation).toEqual(installations.of('a'));
    expect(installations.settingsOf({ name: 'a', settings: configured })).toBe(sent);
    const changed = settings({ maxDelayMs: 5_000 });
    expect(installations.settingsOf({ name: 'a', settings: changed })).toEqual({
      ...changed,
      installation: sent.installation,
    });
  });

  it('has the same name for all its members, whoever comes first, and another one a task queue of its own', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ set: fc.constantFrom(0, 1, 2), role: fc.constantFrom('worker', 'consumer') }), {
          minLength: 2,
          maxLength: 12,
        }),
        async (members) => {
          const claims = new MemoryClaims();
          const setUps: readonly SetUp[] = [
            { evidence: HERE, pipelines: ['a', 'b'] },
            { evidence: THERE, pipelines: ['c', 'd'] },
            { evidence: { ...THERE, kafka: 'k2' }, pipelines: ['e'] },
          ];
          const all = members.map(({ set, role }) => ({ set, one: member(claims, setUps[set]!, role) }));
          await Promise.all(all.map(({ one }) => one.settle()));
          // Consumers learn what workers have named.
          for (const { one } of all) await one.settle();
          const queues = new Map<string, number>();
          for (const { set, one } of all) {
            const hasWorker = members.some((other) => other.set === set && other.role === 'worker');
            expect(one.taskQueues).toHaveLength(hasWorker ? 1 : 0);
            for (const queue of one.taskQueues) {
              expect(queues.get(queue) ?? set).toBe(set);
              queues.set(queue, set);
            }
          }
        },
      ),
    );
  });

  it('is refused a pipeline of another one, in words, and takes nothing of it', async () => {
    const claims = new MemoryClaims();
    await member(claims, { evidence: HERE, pipelines: ['orders'] }).settle();
    const before = new Map(claims.stored);
    for (const role of ['worker', 'consumer']) {
      const other = member(claims, { evidence: THERE, pipelines: ['mine', 'orders'] }, role);
      await expect(other.settle()).rejects.toThrow(OtherInstallationError);
      await expect(other.settle()).rejects.toThrow(
        /^pipeline orders belongs to installation \w+ in this namespace of Temporal: its ClickHouse is ch1:8123\/default, and the one here is ch2:8123\/default\. .* set installation: \w+$/,
      );
    }
    expect(claims.stored).toEqual(before);
  });

  it('is refused a pipeline whose group another namespace reads, in words, and takes nothing of it', async () => {
    for (const role of ['worker', 'consumer']) {
      const claims = new MemoryClaims();
      const other = member(claims, { evidence: HERE, pipelines: ['mine', 'orders'], used: ['orders'] }, role);
      await expect(other.settle()).rejects.toThrow(OtherInstallationError);
      await expect(other.settle()).rejects.toThrow(
        /^group ktb-orders is used already \(it has 2 members\), but pipeline orders has no batcher and no claim in this namespace of Temporal: .* set groupId: ktb-orders\. .* run ktb drain, .* run ktb rewind here before the consumers start$/,
      );
      expect(claims.stored.size).toBe(0);
    }
  });

  it('claims a pipeline whose group version 0.1.0 has read here, also one that never had a record', async () => {
    const pipelines = ['busy', 'idle'];
    const upgraded = { evidence: HERE, pipelines, used: pipelines, batchersOf: ['busy'] };
    for (const role of ['worker', 'consumer']) await member(new MemoryClaims(), upgraded, role).settle();
    // A pipeline that is added later is not excused by the others.
    const claims = new MemoryClaims();
    await member(claims, { ...upgraded, pipelines: ['busy'] }).settle();
    await expect(member(claims, upgraded).settle()).rejects.toThrow('group ktb-idle is used already');
  });

  it('claims all of version 0.1.0, wherever an earlier try broke off', async () => {
    const pipelines = ['busy', 'idle', 'unused', 'idle too'];
    const upgraded = { evidence: HERE, pipelines, used: ['busy', 'idle', 'idle too'], batchersOf: ['busy'] };
    for (const role of ['worker', 'consumer'])
      for (const failsAt of pipelines) {
        const claims = new MemoryClaims();
        const create = claims.create.bind(claims);
        claims.create = (name, claim) =>
          name === `ktb-pipeline:${failsAt}` ? Promise.reject(new Error('away')) : create(name, claim);
        const first = member(claims, upgraded, role);
        await expect(first.settle()).rejects.toThrow('away');
        claims.create = create;
        await member(claims, upgraded, role).settle();
        await first.settle();
        expect([...claims.stored.keys()]).toEqual(
          expect.arrayContaining(pipelines.map((name) => `ktb-pipeline:${name}`)),
        );
      }
  });

  it('leaves the first claim of a pipeline to a process that may ask Kafka about the group', async () => {
    const claims = new MemoryClaims();
    const setUp = { evidence: HERE, pipelines: ['orders', 'mine'] };
    const worker = member(claims, { ...setUp, unknown: ['orders'] });
    await expect(worker.settle()).rejects.toThrow(
      /^pipeline orders has no batcher and no claim in this namespace of Temporal, and Kafka does not let this process ask whether group ktb-orders is used already: this process waits until a consumer, /,
    );
    expect(claims.stored.size).toBe(0);
    // Another namespace reads the group: the worker has not let the consumer in.
    const refused = member(claims, { ...setUp, used: ['orders'] }, 'consumer');
    await expect(refused.settle()).rejects.toThrow('group ktb-orders is used already');
    await expect(worker.settle()).rejects.toThrow('waits until a consumer');
    const consumer = member(claims, setUp, 'consumer');
    await consumer.settle();
    await worker.settle();
    expect(worker.of('orders')).not.toBeNull();
    await consumer.settle();
    expect(consumer.of('orders')).toEqual(worker.of('orders'));
  });

  it('is refused a pipeline that version 0.1.0 of another one reads: it has batchers here, but no group is used', async () => {
    for (const role of ['worker', 'consumer'])
      for (const named of [[], ['orders']]) {
        const claims = new MemoryClaims();
        const setUp = { evidence: HERE, pipelines: ['mine', 'orders'], named, batchersOf: ['orders'] };
        await expect(member(claims, setUp, role).settle()).rejects.toThrow(
          /^pipeline orders has batchers in this namespace of Temporal, but no claim, and ktb has never used group ktb-orders on this Kafka: .* give the pipeline another name here, .* set an installation, with a name of your choice$/,
        );
        expect(claims.stored.size).toBe(0);
      }
    // The batchers are its own: it has lost its offsets.
    const own = { evidence: HERE, pipelines: ['orders'], batchersOf: ['orders'] };
    await member(new MemoryClaims(), { ...own, installation: 'mine' }).settle();
    // Nobody reads any more, or another pipeline shows that this is the older version’s configuration.
    await member(new MemoryClaims(), { ...own, drained: true }).settle();
    const named = { pipelines: ['busy', 'orders'], used: ['busy'], named: ['busy'], batchersOf: ['busy', 'orders'] };
    await member(new MemoryClaims(), { ...own, ...named }).settle();
  });

  it('does not claim a pipeline whose batchers name another one, whatever became of the claim', async () => {
    const claims = new MemoryClaims();
    const prod = member(claims, { evidence: HERE, pipelines: ['orders', 'bills'] });
    await prod.settle();
    const { name } = prod.of('orders')!;
    const batchers = { pipelines: ['orders'], used: ['orders'], batchersOf: ['orders'], batchersName: name };
    claims.stored.delete('ktb-pipeline:orders');
    for (const role of ['worker', 'consumer'])
      for (const installation of [{}, { installation: 'staging' }])
        await expect(member(claims, { ...batchers, evidence: THERE, ...installation }, role).settle()).rejects.toThrow(
          new RegExp(`^pipeline orders has batchers of installation ${name} .*set installation: ${name}$`),
        );
    // Its own members know it by its other pipelines, its task queue or its name.
    for (const own of [{}, { pipelines: ['orders', 'bills'] }, { installation: name }]) {
      claims.stored.delete('ktb-pipeline:orders');
      const again = member(claims, { ...batchers, evidence: HERE, ...own });
      await again.settle();
      expect(again.of('orders')).toEqual(prod.of('orders'));
    }
    // Temporal has lost all claims, and nobody has claimed again before the last process ended.
    claims.stored.clear();
    await expect(member(claims, { ...batchers, evidence: THERE }).settle()).rejects.toThrow('has batchers of');
    await expect(member(claims, { ...batchers, evidence: HERE, batchersQueue: `q@${name}` }).settle()).rejects.toThrow(
      'has batchers of',
    );
    const restarted = member(claims, { ...batchers, evidence: HERE });
    await restarted.settle();
    expect(restarted.of('orders')).toEqual(prod.of('orders'));
  });

  it('leaves a pipeline alone whose claim is gone, until a running member has had the time to claim it again', async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const claims = new MemoryClaims();
    const prod = member(claims, { evidence: HERE, pipelines: ['orders'] });
    await prod.settle();
    const staging = member(claims, { evidence: THERE, pipelines: ['orders'] });
    await expect(staging.settle()).rejects.toThrow('belongs to installation');
    for (let round = 0; round < 2; round++) {
      claims.stored.clear();
      for (let second = 0; second < 60; second += 2, vi.advanceTimersByTime(2_000))
        await expect(staging.settle()).rejects.toThrow('until its claim was removed');
      if (round > 0) break;
      await prod.settle();
      await expect(staging.settle()).rejects.toThrow('belongs to installation');
    }
    vi.advanceTimersByTime(30_000);
    await staging.settle();
    // It is the other way round now.
    await expect(prod.settle()).rejects.toThrow('belongs to installation');
  });

  it('sends nothing and does no work for a pipeline that turns out to be another one’s, until that is over', async () => {
    const claims = new MemoryClaims();
    const prod = member(claims, { evidence: HERE, pipelines: ['bills', 'orders'] });
    await prod.settle();
    const own = prod.of('orders')!;
    claims.stored.delete('ktb-pipeline:orders');
    const staging = member(claims, { evidence: THERE, pipelines: ['orders'] });
    await staging.settle();
    const { name } = staging.of('orders')!;
    expect(await staging.ofOther('orders', own.name)).toEqual({ name: own.name });
    prod.mustHave('orders');
    await expect(prod.settle()).rejects.toThrow(OtherInstallationError);
    expect(() => prod.mustHave('orders')).toThrow('pipeline orders belongs to another installation now');
    prod.mustHave('bills');
    expect(await prod.ofOther('orders', undefined)).toMatchObject({ name });
    // Nobody else does what names it, and its rows belong into its table.
    expect(await prod.ofOther('orders', own.name)).toBeNull();
    expect(await prod.ofOther('bills', own.name)).toBeNull();
    claims.stored.set('ktb-pipeline:orders', {
      runId: 'given-back',
      claim: { ...HERE, format: 'ktb-claim/1', installation: own },
    });
    await prod.settle();
    prod.mustHave('orders');
    expect(await prod.ofOther('orders', own.name)).toBeNull();
  });

  it('goes on with a pipeline whose claim has its own name, also if its Kafka became another one', async () => {
    const moved = { ...HERE, kafka: 'k2' };
    const move = async (how: (claims: MemoryClaims, own: string, evidence: () => void) => Promise<void>) => {
      const claims = new MemoryClaims();
      const found = { ...HERE };
      const running = member(claims, { evidence: found, pipelines: ['orders'] });
      await running.settle();
      const { name } = running.of('orders')!;
      await how(claims, name, () => Object.assign(found, moved));
      await expect(running.settle()).rejects.toThrow(`pipeline orders belongs to installation ${name}`);
      running.mustHave('orders');
      for (const named of [name, undefined]) expect(await running.ofOther('orders', named)).toBeNull();
    };
    await move((_claims, _own, change) => {
      change();
      return Promise.resolve();
    });
    // The new members of a move write the new Kafka into the claim, while those from before still run.
    await move((claims, installation) => {
      return member(claims, { evidence: moved, pipelines: ['orders'], installation }).settle();
    });
  });

  it('needs no right to the group of a pipeline that is claimed here, or whose configuration has batchers of version 0.1.0', async () => {
    const pipelines = ['busy', 'idle'];
    await member(new MemoryClaims(), {
      evidence: HERE,
      pipelines,
      unknown: pipelines,
      batchersOf: ['busy'],
    }).settle();
    const claims = new MemoryClaims();
    await member(claims, { evidence: HERE, pipelines }).settle();
    const worker = member(claims, { evidence: HERE, pipelines, unknown: pipelines });
    await worker.settle();
    // It claims again what Temporal has lost.
    claims.stored.clear();
    await worker.settle();
    expect([...claims.stored.keys()]).toContain('ktb-pipeline:idle');
  });

  it('does not need Kafka’s answer about a group where it decides nothing', async () => {
    const setUp = { evidence: HERE, pipelines: ['orders'], unanswered: ['orders'] };
    await member(new MemoryClaims(), { ...setUp, named: ['orders'] }).settle();
    const batchers = { batchersOf: ['orders'], batchersName: 'mine' };
    await member(new MemoryClaims(), { ...setUp, ...batchers, installation: 'mine' }).settle();
    for (const asked of [{}, { named: ['orders'], batchersOf: ['orders'] }])
      await expect(member(new MemoryClaims(), { ...setUp, ...asked }).settle()).rejects.toThrow('no answer');
  });

  it('is not refused a pipeline for its own members, and claims again what Temporal has lost', async () => {
    const claims = new MemoryClaims();
    const setUp = { evidence: HERE, pipelines: ['orders'] };
    const first = member(claims, setUp);
    await first.settle();
    // Those that start now find the first one in the group.
    await member(claims, { ...setUp, used: ['orders'] }).settle();
    const before = first.of('orders');
    const used: string[] = [];
    const running = member(claims, { ...setUp, used });
    await running.settle();
    used.push('orders');
    claims.stored.clear();
    await running.settle();
    expect(running.of('orders')).toEqual(before);
    expect([...claims.stored.keys()]).toContain('ktb-pipeline:orders');
    // The next ones find it, too: another configuration of it, and an installation with other parts.
    const beside = member(claims, { evidence: HERE, pipelines: ['bills'] });
    await beside.settle();
    expect(beside.of('bills')).toEqual(before);
    const other = member(claims, { evidence: THERE, pipelines: ['others'] });
    await other.settle();
    expect(other.taskQueues).toEqual([`q@${other.of('others')!.name}`]);
    expect([...claims.stored.keys()].filter((name) => name.startsWith('ktb-database:'))).toHaveLength(2);
  });

  it('claims again what Temporal has lost also while its Kafka or ClickHouse does not answer', async () => {
    const claims = new MemoryClaims();
    let isAway = true;
    const setUp = { evidence: HERE, pipelines: ['orders'] };
    const running = member(claims, setUp, 'worker', () => isAway);
    await expect(running.settle()).rejects.toThrow('away');
    expect(claims.stored.size).toBe(0);
    isAway = false;
    await running.settle();
    isAway = true;
    const before = claims.stored.get('ktb-pipeline:orders')!.claim;
    claims.stored.clear();
    await running.settle();
    expect(claims.stored.get('ktb-pipeline:orders')!.claim).toEqual(before);
  });

  it('stays that of a pipeline whose claim is made again, also beside pipelines of another one', async () => {
    const claims = new MemoryClaims();
    for (const installation of ['x', 'y'])
      await member(claims, { evidence: HERE, pipelines: [`of ${installation}`], installation }).settle();
    const both = member(claims, { evidence: HERE, pipelines: ['of x', 'of y'] });
    await both.settle();
    const before = both.of('of y');
    claims.stored.delete('ktb-pipeline:of y');
    await both.settle();
    expect(before).toMatchObject({ name: 'y' });
    expect(both.of('of y')).toEqual(before);
  });

  it('is named by a consumer whose configuration names it, so no other one’s worker takes the pipeline', async () => {
    const claims = new MemoryClaims();
    const nowhere = { kafka: 'k1', addresses: [], ids: [] };
    const consumer = member(claims, { evidence: nowhere, pipelines: ['orders'], installation: 'x' }, 'consumer');
    await consumer.settle();
    for (const installation of [{ installation: 'y' }, {}])
      await member(claims, { evidence: THERE, pipelines: ['others'], ...installation }).settle();
    await expect(
      member(claims, { evidence: THERE, pipelines: ['orders'], installation: 'y' }).settle(),
    ).rejects.toThrow('pipeline orders belongs to installation x');
    const worker = member(claims, { evidence: HERE, pipelines: ['orders'], installation: 'x' });
    await worker.settle();
    expect(worker.of('orders')).toEqual({ name: 'x', taskQueue: 'q' });
    expect(consumer.of('orders')).toEqual(worker.of('orders'));
    // The Kafka alone does not make an installation.
    const unnamed = member(claims, { evidence: THERE, pipelines: ['further'] });
    await unnamed.settle();
    expect(unnamed.of('further')!.name).not.toBe('x');
  });

  it('gets all pipelines or none, also if another one with the same names starts at the same time', async () => {
    const start = fc.shuffledSubarray(['a', 'b', 'c'], { minLength: 3 });
    await fc.assert(
      fc.asyncProperty(start, start, fc.gen(), async (first, second, gen) => {
        const claims = new MemoryClaims();
        for (const method of ['read', 'create'] as const) {
          const call = claims[method].bind(claims) as (...input: unknown[]) => Promise<never>;
          claims[method] = async (...input: unknown[]) => {
            for (let turn = gen(fc.nat, { max: 5 }); turn > 0; turn--) await Promise.resolve();
            return call(...input);
          };
        }
        const both = [
          member(claims, { evidence: HERE, pipelines: first }),
          member(claims, { evidence: THERE, pipelines: second }),
        ];
        await Promise.allSettled(both.map((one) => one.settle()));
        const again = await Promise.allSettled(both.map((one) => one.settle()));
        expect(again.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      }),
    );
  });

  it('finds no other reader in members that have claimed the pipeline while it asked', async () => {
    const claims = new MemoryClaims();
    const late = new Installations({
      config: { installation: null, temporal: { taskQueue: 'q' }, pipelines: [{ name: 'orders' }] as never },
      claims,
      evidence: () => Promise.resolve(new Map([['orders', HERE]])),
      groupUse: {
        groupOf: () => ({
          groupId: 'ktb-orders',
          isNamed: false,
          use: async () => {
            await member(claims, { evidence: HERE, pipelines: ['orders'] }).settle();
            return { how: 'it has 1 member' };
          },
        }),
        batchersOf: () => Promise.resolve(null),
      },
      mayName: true,
    });
    await late.settle();
    expect(late.of('orders')).not.toBeNull();
  });

  it('is refused a pipeline whose consumers alone have claimed it, where the Kafka is another', async () => {
    const claims = new MemoryClaims();
    await member(claims, { evidence: HERE, pipelines: ['orders'] }, 'consumer').settle();
    const other = { evidence: { ...HERE, kafka: 'k2' }, pipelines: ['orders'] };
    await expect(member(claims, other, 'consumer').settle()).rejects.toThrow('its Kafka cluster is k1');
  });

  it('stays the same with its name configured, wherever its parts are now', async () => {
    const claims = new MemoryClaims();
    const before = member(claims, { evidence: HERE, pipelines: ['orders'] });
    await before.settle();
    const { name } = before.of('orders')!;
    const moved = { evidence: { ...THERE, kafka: 'k2' }, pipelines: ['orders'] };
    const after = member(claims, { ...moved, installation: name });
    await after.settle();
    expect(after.of('orders')).toEqual(before.of('orders'));
    // And from then on without.
    await member(claims, moved).settle();
    await expect(member(claims, { ...moved, installation: 'another' }).settle()).rejects.toThrow(
      'the configuration names the installation another',
    );
  });

  it('is recognized by every address and on every replica that it has in common with what is known', async () => {
    const claims = new MemoryClaims();
    const table = 'table-of-orders';
    const replica = (id: number, address: string): SetUp => {
      return { pipelines: ['orders'], evidence: { kafka: 'k1', addresses: [address], ids: [`server-${id}/d`, table] } };
    };
    const first = member(claims, replica(1, 'ch1:8123/d'));
    await first.settle();
    // Its table was created again: the server tells.
    const again = { kafka: 'k1', addresses: ['balancer:80/d'], ids: ['server-2/d', 'table-created-again'] };
    for (const setUp of [replica(2, 'ch2:8123/d'), { evidence: again, pipelines: ['orders'] }]) {
      const worker = member(claims, setUp);
      await worker.settle();
      expect(worker.of('orders')).toEqual(first.of('orders'));
    }
    // A consumer knows addresses only, and one without any says nothing.
    for (const addresses of [['ch1:8123/d'], ['balancer:80/d'], []]) {
      await member(
        claims,
        { evidence: { kafka: 'k1', addresses, ids: [] }, pipelines: ['orders'] },
        'consumer',
      ).settle();
    }
  });

  it('leaves work of others to them: what they name, and what names none', async () => {
    const claims = new MemoryClaims();
    const one = member(claims, { evidence: HERE, pipelines: ['a'] });
    const other = member(claims, { evidence: THERE, pipelines: ['b'] });
    await one.settle();
    await other.settle();
    expect(await one.ofOther('a', undefined)).toBeNull();
    expect(await one.ofOther('a', one.of('a')!.name)).toBeNull();
    expect(await one.ofOther('b', other.of('b')!.name)).toEqual({ name: other.of('b')!.name });
    expect(await one.ofOther('b', undefined)).toEqual(other.of('b'));
    expect(await one.ofOther('c', undefined)).toBe('unknown');
    // A second configuration of the same installation, with other pipelines on the same task queue.
    const beside = member(claims, { evidence: HERE, pipelines: ['d'] });
    await beside.settle();
    expect(await one.ofOther('d', undefined)).toBeNull();
  });

  it('knows which pipelines somebody has: a request for one is not refused because another worker was asked', async () => {
    const claims = new MemoryClaims();
    const one = member(claims, { evidence: HERE, pipelines: ['a'] });
    await one.settle();
    const byOthers: readonly [string, SetUp, string][] = [
      ['another installation', { evidence: THERE, pipelines: ['b'] }, 'worker'],
      ['another configuration of this one', { evidence: HERE, pipelines: ['c'] }, 'worker'],
      ['consumers alone', { evidence: THERE, pipelines: ['d'] }, 'consumer'],
    ];
    for (const [, setUp, role] of byOthers) await member(claims, setUp, role).settle();
    for (const [who, { pipelines }] of byOthers) expect(await one.isClaimed(pipelines[0]!), who).toBe(true);
    expect(await one.isClaimed('nobodys')).toBe(false);
  });

  // Replicas behind a load balancer: each has its own id, and each pipeline its own tables.
  const behind = (address: string, server: string, pipeline: string): SetUp => {
    const ids = [`${server}/default`, `table-of-${pipeline}`];
    return { evidence: { kafka: 'k1', addresses: [address], ids }, pipelines: [pipeline] };
  };

  it('is one for all configurations with its Kafka and ClickHouse, by whatever one of their pipelines has seen', async () => {
    for (const first of [null, behind('ch0:8123/default', 'elsewhere', 'others')]) {
      const claims = new MemoryClaims();
      // Another set-up may have the task queue.
      if (first !== null) await member(claims, first).settle();
      const one = member(claims, behind('ch:8123/default', 'replica-1', 'a'));
      await one.settle();
      await member(claims, behind('ch:8123/default', 'replica-2', 'a')).settle();
      for (const pipeline of ['b', 'c']) {
        const two = member(claims, behind('ch:8123/default', 'replica-2', pipeline));
        await two.settle();
        expect(two.of(pipeline)).toEqual(one.of('a'));
      }
      const three = member(claims, behind('direct-2:8123/default', 'replica-2', 'd'));
      await three.settle();
      expect(three.of('d')).toEqual(one.of('a'));
      expect(one.taskQueues).toEqual([first === null ? 'q' : `q@${one.of('a')!.name}`]);
    }
  });

  it('that an earlier version has claimed is found by what its pipeline’s claim knows, once its daemon was upgraded', async () => {
    const claims = new MemoryClaims();
    const installation = { name: 'before', taskQueue: 'q@before' };
    const ids = ['replica-1/default', 'table-of-a', 'replica-2/default'];
    const old: Claim = { format: 'ktb-claim/1', kafka: 'k1', addresses: ['ch:8123/default'], ids, installation };
    await claims.create('ktb-pipeline:a', old);
    await claims.create('ktb-task-queue:q', { ...old, ids: ['x/y'], installation: { name: 'x', taskQueue: 'q' } });
    await member(claims, behind('ch:8123/default', 'replica-1', 'a')).settle();
    const two = member(claims, behind('ch:8123/default', 'replica-2', 'b'));
    await two.settle();
    expect(two.of('b')).toEqual(installation);
  });

  it('is one for all that start at the same time, in whatever order they have their pipelines', async () => {
    const setUp = fc.record({
      // Kafka, database, replica.
      kafka: fc.constantFrom('k1', 'k2'),
      database: fc.constantFrom('default', 'shop'),
      replica: fc.constantFrom('1', '2'),
      pipelines: fc.shuffledSubarray(['a', 'b', 'c', 'd'], { minLength: 1 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(setUp, { minLength: 2, maxLength: 8 }), fc.gen(), async (setUps, gen) => {
        const claims = new MemoryClaims();
        // Starts at different moments of each other's start.
        const delays = setUps.map(() => gen(fc.nat, { max: 20 }));
        const all = await Promise.all(
          setUps.map(async ({ kafka, database, replica, pipelines }, index) => {
            for (let turn = 0; turn < delays[index]!; turn++) await Promise.resolve();
            // Names of pipelines are unique in a namespace. The table is one that all databases' pipelines write to.
            const own = pipelines.map((name) => `${kafka}-${database}-${name}`);
            const ids = [`id-of-${database}/${database}`, `server-${replica}/${database}`, 'table'];
            const evidence = { kafka, addresses: [`balancer:8123/${database}`], ids };
            const one = member(claims, { evidence, pipelines: own });
            await one.settle();
            return { of: `${kafka}/${database}`, queues: one.taskQueues };
          }),
        );
        const queueOf = new Map<string, string>();
        for (const { of, queues } of all) {
          expect(queues).toHaveLength(1);
          expect(queueOf.get(of) ?? queues[0]).toBe(queues[0]);
          queueOf.set(of, queues[0]!);
        }
        expect(new Set(queueOf.values()).size).toBe(queueOf.size);
      }),
    );
  });

  it('is not joined by a set-up with only its Kafka, or with its table but another database', async () => {
    const claims = new MemoryClaims();
    const one = member(claims, behind('ch:8123/default', 'server-1', 'a'));
    await one.settle();
    const { name } = one.of('a')!;
    const table = { kafka: 'k1', addresses: ['ch:8123/shop'], ids: ['server-1/shop', 'table-of-a'] };
    const others: readonly SetUp[] = [
      { evidence: THERE, pipelines: ['only-kafka'] },
      { evidence: table, pipelines: ['its-table'] },
      { evidence: { ...table, ids: ['table-of-a'] }, pipelines: ['its-table-alone'] },
      { evidence: { ...table, kafka: null }, pipelines: ['kafka-without-id'] },
    ];
    for (const setUp of others) {
      const other = member(claims, setUp);
      await other.settle();
      expect(other.of(setUp.pipelines[0]!)!.name).not.toBe(name);
    }
  });

  it('that has moved gives new configurations the ids of its ClickHouse of today, not of a claim from before', async () => {
    const claims = new MemoryClaims();
    const installation = { name: 'moved', taskQueue: 'q@moved' };
    const addresses = ['old:8123/default', 'ch:8123/default'];
    const ids = ['server-old/default', 'server-1/default'];
    const claim: Claim = { format: 'ktb-claim/1', kafka: 'k1', addresses, ids, installation };
    await claims.create('ktb-pipeline:a', claim);
    await claims.create('ktb-task-queue:q', { ...claim, ids: ['x/y'], installation: { name: 'x', taskQueue: 'q' } });
    await member(claims, behind('ch:8123/default', 'server-1', 'a')).settle();
    const [here, there] = [
      member(claims, behind('ch:8123/default', 'server-1', 'b')),
      member(claims, behind('old:8123/default', 'server-old', 'c')),
    ];
    await here.settle();
    await there.settle();
    expect(here.of('b')).toEqual(installation);
    expect(there.of('c')!.name).not.toBe('moved');
  });

  it('configured by name stays apart from one that has its Kafka and ClickHouse under another name', async () => {
    const claims = new MemoryClaims();
    const unnamed = member(claims, behind('ch:8123/default', 'server-1', 'a'));
    await unnamed.settle();
    for (const pipeline of ['b', 'c']) {
      const named = member(claims, { ...behind('ch:8123/default', 'server-1', pipeline), installation: 'mine' });
      await named.settle();
      expect(named.of(pipeline)).toEqual({ name: 'mine', taskQueue: 'q@mine' });
    }
    const joining = { ...behind('far:8123/x', 'server-9', 'd'), installation: unnamed.of('a')!.name };
    const joined = member(claims, joining);
    await joined.settle();
    expect(joined.of('d')).toEqual(unnamed.of('a'));
  });
});

it('a task queue is not taken for one’s own by an address alone: it is another server in each namespace of Kubernetes', () => {
  const claim: Claim = { format: 'ktb-claim/1', installation: { name: 'x', taskQueue: 'q' }, ...HERE };
  const sameAddress = { ...THERE, addresses: HERE.addresses };
  expect(judgeClaim(claim, null, sameAddress, false).same).toBe(false);
  expect(judgeClaim(claim, null, sameAddress, true).same).toBe(true);
});

it('a claim keeps what is known, bounded, and does not change where nothing is new', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.integer({ min: 0, max: 99 }).map(String), { maxLength: 20 }), { maxLength: 20 }),
      (found) => {
        let claim: Claim = { format: 'ktb-claim/1', installation: null, kafka: null, addresses: [], ids: [] };
        for (const ids of found) {
          const evidence = { kafka: 'k', addresses: [], ids: [...new Set(ids)] };
          claim = completeClaim(claim, null, evidence);
          expect(claim.ids).toEqual(expect.arrayContaining(evidence.ids));
          expect(completeClaim(claim, null, evidence)).toBe(claim);
        }
        expect(claim.ids.length).toBeLessThanOrEqual(EVIDENCE_MAX);
      },
    ),
  );
});
