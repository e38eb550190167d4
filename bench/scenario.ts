/** What one drain is of. Everything that the benchmark varies is here. */
export interface Scenario {
  readonly records: number;
  /** Of a value as JSON. */
  readonly bytes: number;
  /** What fills a value up to its size: words that differ from record to record, or one word again and again. */
  readonly filler: 'different' | 'repeated';
  /** What the value is written in. All but `json` have a schema, and a header with its id as Confluent's serializers write it. */
  readonly format: 'json' | 'json-schema' | 'avro' | 'protobuf';
  /** How the producer compresses a record batch. */
  readonly compression: 'none' | 'gzip';
  /** Fields of a value, and columns of the table beside those of the identity; six or more. */
  readonly columns: number;
  readonly partitions: number;
  readonly keys: keyof typeof KEYS;
  /** Of the bridge. */
  readonly batchers: number | 'default';
  /** The processes of the bridge: each has both roles, or one. */
  readonly processes: readonly ('both' | 'consumer' | 'worker')[];
}

/** The scenario that all others differ from in one point. */
export const BASELINE: Scenario = {
  records: 1_000_000,
  bytes: 200,
  filler: 'different',
  format: 'json',
  compression: 'none',
  columns: 6,
  partitions: 8,
  keys: 'even',
  batchers: 8,
  processes: ['both'],
};

const CUSTOMERS = 5_000;

/** Which customer, below {@link CUSTOMERS}, a record is of. It is the key. */
const KEYS = {
  even: (id: number) => (id * 7_919) % CUSTOMERS,
  zipf: (id: number) => customerByRank((Math.imul(id + 1, 2_654_435_761) >>> 0) / 2 ** 32),
  one: () => 0,
};

const SHARES = sharesByZipf();

/** A record as a JSON object of the scenario's size. Below 130 bytes it lacks the status. */
export function benchMessage(scenario: Scenario, id: number): { key: Buffer; value: Buffer } {
  const customer = `customer-${KEYS[scenario.keys](id)}`;
  const value: Record<string, unknown> = {
    id,
    customer,
    amount: ((id * 37) % 1_000_000) / 100,
    ...(scenario.bytes < 130 ? {} : { status: ['new', 'paid', 'shipped', 'returned'][id % 4] }),
    created: new Date(1_760_000_000_000 + id * 250).toISOString(),
  };
  for (let column = FIXED_COLUMNS; column < scenario.columns; column++) value[`c${column}`] = (id + column) % 100;
  value['note'] = '';
  const text = JSON.stringify(value);
  const note = filled(scenario, id, scenario.bytes - text.length);
  return { key: Buffer.from(customer), value: Buffer.from(`${text.slice(0, -NOTE_END.length)}${note}${NOTE_END}`) };
}

/** What follows the note, which is the last field. */
const NOTE_END = '"}';

/** The columns of a value, for a CREATE TABLE. */
export function columnDefinitions({ columns }: Scenario): string {
  const more = Array.from({ length: columns - FIXED_COLUMNS }, (_, index) => `c${FIXED_COLUMNS + index} UInt8`);
  return [
    'id UInt64, customer String, amount Decimal(12, 2), status LowCardinality(String), created DateTime64(3), note String',
    ...more,
  ].join(', ');
}

const FIXED_COLUMNS = 6;

/** Text of this length. */
function filled({ filler }: Scenario, id: number, length: number): string {
  if (length <= 0) return '';
  if (filler === 'repeated') return 'word '.repeat(length / 5 + 1).slice(0, length);
  let text = '';
  for (let word = id; text.length < length; word = (word * 2_654_435_761 + 1) % 4_294_967_296)
    text += `${word.toString(36)} `;
  return text.slice(0, length);
}

/** Which shares of all records the first customers have together, if the second has half of the first's, the third a third. */
function sharesByZipf(): Float64Array {
  const shares = new Float64Array(CUSTOMERS);
  let sum = 0;
  for (let rank = 0; rank < CUSTOMERS; rank++) shares[rank] = sum += 1 / (rank + 1);
  return shares.map((share) => share / sum);
}

/** The first customer up to whom the shares exceed this one. */
function customerByRank(share: number): number {
  let low = 0;
  for (let high = CUSTOMERS - 1; low < high;) {
    const middle = (low + high) >> 1;
    if (share < SHARES[middle]!) high = middle;
    else low = middle + 1;
  }
  return low;
}
