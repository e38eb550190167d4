import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import type { RequestsState } from '../protocol/batcher.js';
import type { RequestVerdict, RowRequest } from '../protocol/request.js';

/** Whether a request is new to a batcher. */
export type RequestJudgement =
  | { readonly type: 'new'; readonly offset: number }
  /** It was accepted before, and its answer is still to come. */
  | { readonly type: 'pending' }
  | { readonly type: 'answered'; readonly verdict: RequestVerdict };

/**
 * The requests of workflows that a batcher has accepted. Each gets the next offset, and its name is remembered, so that
 * it is not accepted twice. Pure.
 *
 * Whether a request is new must not depend on times, nor on whether an answer comes before or after a signal. The
 * reason is an heir: it reads a closed run's history, in which times differ by milliseconds, and in which an answer may
 * come before a signal that the run had handled earlier. So names are forgotten by their number, and by age only from
 * one run to the next.
 */
export class Requests {
  /** Names that are remembered. Over it the oldest is forgotten, because they have to fit into the input of a run. */
  static readonly REMEMBERED_MAX = 10_000;
  /** How long a name is remembered at least, unless there are too many. */
  static readonly REMEMBERED_MS = 24 * 60 * 60 * 1000;

  readonly epoch: string;
  /** Their offsets are consecutive. The last one has the offset before `#next`. */
  #entries: Entry[] = [];
  readonly #offsets = new Map<string, number>();
  #next = 0;

  /** @param epoch of a batcher that has had no request yet */
  constructor(epoch: string, state?: RequestsState) {
    this.epoch = state?.epoch ?? epoch;
    if (state === undefined) return;
    const verdicts = state.runs.flatMap(([minute, verdict, count]) =>
      Array.from({ length: count }, () => ({ minute, verdict })),
    );
    this.#next = state.next;
    this.#entries = verdicts.map((entry, index) => {
      return { ...entry, name: state.names.slice(index * NAME_HEX_DIGITS, (index + 1) * NAME_HEX_DIGITS) };
    });
    this.#entries.forEach(({ name }, index) => this.#offsets.set(name, this.#first + index));
  }

  /** Requests remembered. */
  get size(): number {
    return this.#entries.length;
  }

  /** Accepts a request. A new one gets an offset. */
  accept(request: Pick<RowRequest, 'requester' | 'id'>, nowMs: number): RequestJudgement {
    const name = nameOf(request);
    const known = this.#offsets.get(name);
    const verdict = known === undefined ? undefined : this.#entries[known - this.#first]?.verdict;
    if (known !== undefined && verdict !== undefined) {
      return verdict === PENDING ? { type: 'pending' } : { type: 'answered', verdict: [known, verdict] };
    }
    const offset = this.#next++;
    this.#entries.push({ name, minute: Math.ceil(nowMs / MINUTE_MS), verdict: PENDING });
    this.#offsets.set(name, offset);
    if (this.#entries.length > Requests.REMEMBERED_MAX) this.#forget(1);
    return { type: 'new', offset };
  }

  /** Notes the verdicts on requests. Requests that are forgotten by now are skipped. */
  noteVerdicts(verdicts: readonly RequestVerdict[]): void {
    for (const [offset, verdict] of verdicts) {
      const entry = this.#entries[offset - this.#first];
      if (entry !== undefined) this.#entries[offset - this.#first] = { ...entry, verdict };
    }
  }

  /** Forgets names that are too old. To be called only from one run to the next, see above. */
  expire(nowMs: number): void {
    const minute = (nowMs - Requests.REMEMBERED_MS) / MINUTE_MS;
    const kept = this.#entries.findIndex((entry) => entry.minute > minute || entry.verdict === PENDING);
    this.#forget(kept < 0 ? this.#entries.length : kept);
  }

  /**
   * @param bytesMax of JSON. Over it, the oldest names are left out
   * @returns undefined if there has never been a request
   */
  toState(bytesMax = Infinity): RequestsState | undefined {
    if (this.#next === 0) return undefined;
    const runs: [minute: number, verdict: Entry['verdict'], count: number][] = [];
    let bytes = HEAD_BYTES + this.epoch.length;
    let names = 0;
    for (const { minute, verdict } of this.#entries.toReversed()) {
      const first = runs[0];
      const joins = first?.[0] === minute && first[1] === verdict;
      bytes += NAME_HEX_DIGITS + (joins ? 0 : RUN_BYTES + verdict.length);
      if (bytes > bytesMax) break;
      if (joins) first[2]++;
      else runs.unshift([minute, verdict, 1]);
      names++;
    }
    const remembered = this.#entries.slice(this.#entries.length - names);
    return { epoch: this.epoch, next: this.#next, names: remembered.map(({ name }) => name).join(''), runs };
  }

  /** The offset of the oldest one remembered. */
  get #first(): number {
    return this.#next - this.#entries.length;
  }

  /**
   * Forgets all names, since somebody may have made them up.
   *
   * @param epoch of those to come, so that none of them has the identity of an earlier one
   */
  withoutNames(epoch: string): Requests {
    if (this.#next === 0) return this;
    const next = this.#next > 0 && this.#next <= NUMBER_MAX ? this.#next : 0;
    return new Requests(epoch, { epoch, next, names: '', runs: [] });
  }

  #forget(count: number): void {
    for (const { name } of this.#entries.splice(0, count)) this.#offsets.delete(name);
  }
}

/** The name is made of requester and id, because two workflows may use the same id. */
function nameOf({ requester, id }: Pick<RowRequest, 'requester' | 'id'>): string {
  return bytesToHex(sha256(utf8ToBytes(JSON.stringify([requester, id])))).slice(0, NAME_HEX_DIGITS);
}

/** 64 bits. The chance that two of ten thousand names are the same is 1 in 10^11. */
const NAME_HEX_DIGITS = 16;
const MINUTE_MS = 60_000;
/**
 * Generous estimates for {@link RequestsState} as JSON: everything that is there once, and one entry of `runs` without
 * its verdict.
 */
const HEAD_BYTES = 100;
const RUN_BYTES = 24;
/** More than any batcher has. Above it a sum may not be exact. */
const NUMBER_MAX = 2 ** 48;
/** Not answered yet. */
const PENDING = '';

interface Entry {
  readonly name: string;
  /** When it was accepted, in minutes since 1970, rounded up. */
  readonly minute: number;
  readonly verdict: RequestVerdict[1] | typeof PENDING;
}
