import { Histogram, type LabelValues } from 'prom-client';

/** What a histogram of prom-client has counted for one set of labels. It is not in its public interface. */
interface Counted<Label extends string> {
  readonly labels: LabelValues<Label>;
  /** By upper bound. */
  readonly bucketValues: Record<number, number>;
  sum: number;
  count: number;
}

/**
 * A histogram that takes the values of a whole batch at once. `observe` checks the labels of each value and looks up
 * their counts: that took most of a quarter of a microsecond for each record.
 *
 * Source: prom-client 15.1.3, `observe` in `lib/histogram.js`.
 */
export class BatchHistogram<Label extends string> extends Histogram<Label> {
  declare private readonly hashMap: Readonly<Record<string, Counted<Label>>>;
  declare private readonly labelNames: readonly Label[];
  declare private readonly upperBounds: readonly number[];

  /** Counts each value as `observe` does. */
  observeAll(labels: LabelValues<Label>, values: Float64Array): void {
    if (values.length === 0) return;
    const counted = this.#countedOf(labels);
    const bounds = Float64Array.from(this.upperBounds);
    const counts = new Uint32Array(bounds.length + 1);
    let sum = 0;
    for (const value of values) {
      let bucket = 0;
      while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
      counts[bucket] = (counts[bucket] as number) + 1;
      sum += value;
    }
    for (const [bucket, bound] of bounds.entries())
      counted.bucketValues[bound] = (counted.bucketValues[bound] as number) + (counts[bucket] as number);
    counted.sum += sum;
    counted.count += values.length;
  }

  #countedOf(labels: LabelValues<Label>): Counted<Label> {
    const isTheirs = (counted: Counted<Label>): boolean =>
      this.labelNames.every((name) => counted.labels[name] === labels[name]);
    const known = Object.values(this.hashMap).find(isTheirs);
    if (known !== undefined) return known;
    this.zero(labels);
    return Object.values(this.hashMap).find(isTheirs) as Counted<Label>;
  }
}
