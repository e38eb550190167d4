import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** A public data set as the records of one pipeline; topic and table have its name. */
export interface Dataset {
  readonly name: string;
  /** Good records, numbered from 0. */
  readonly records: number;
  /** Records that have to be rejected; their numbers follow those of the good ones. */
  readonly badRecords: number;
  /** The record of a number. */
  record(index: number): { readonly key: string; readonly value: string };
  /** The number of the record that a row was made from, by the row's `id`; undefined when there is none. */
  indexOfRow(id: string): number | undefined;
}

/**
 * Domestic flights in the USA from January to March 2001, 20,000 of them, from the Bureau of Transportation Statistics;
 * repeated with new ids up to any number. Each is keyed by the airport it starts from.
 */
export function flights(records: number): Dataset {
  const templates = readDataset('flights-20k.json') as { readonly origin: string }[];
  return {
    name: 'flights',
    records,
    badRecords: SPOILED.length,
    record: (index) => {
      const flight = templates[index % templates.length] as { readonly origin: string };
      const value = JSON.stringify({ id: index, ...flight });
      return { key: flight.origin, value: SPOILED[index - records]?.(value) ?? value };
    },
    indexOfRow: (id) => (/^\d+$/.test(id) && Number(id) < records + SPOILED.length ? Number(id) : undefined),
  };
}

/** What goes wrong in practice: cut off on the way, of another shape, of another type. */
const SPOILED: readonly ((value: string) => string)[] = [
  (value) => value.slice(0, value.length / 2),
  (value) => JSON.stringify(Object.values(JSON.parse(value) as object)),
  (value) => value.replace(/"delay":-?\d+/, '"delay":"late"'),
];

/** The earthquakes of a week in 2018, 1,707 of them, as GeoJSON features of the US Geological Survey; keyed by network. */
export function earthquakes(): Dataset {
  const { features } = readDataset('earthquakes.json') as {
    features: { readonly id: string; readonly properties: { readonly net: string } }[];
  };
  const indexes = new Map(features.map(({ id }, index) => [id, index]));
  return {
    name: 'earthquakes',
    records: features.length,
    badRecords: 0,
    record: (index) => ({ key: features[index]?.properties.net ?? '', value: JSON.stringify(features[index]) }),
    indexOfRow: (id) => indexes.get(id),
  };
}

/**
 * The numbers of all records in the order in which they are sent: the bad ones in the midst of the good ones, so that they
 * share their batches.
 */
export function sendingOrder({ records, badRecords }: Pick<Dataset, 'records' | 'badRecords'>): number[] {
  const order = Array.from({ length: records + badRecords }, (_, index) => index);
  const bad = order.splice(records);
  order.splice(records / 2, 0, ...bad);
  return order;
}

/** A file of npm's vega-datasets. */
function readDataset(file: string): unknown {
  const require = createRequire(import.meta.url);
  const directory = join(dirname(require.resolve('vega-datasets')), '..', 'data');
  return JSON.parse(readFileSync(join(directory, file), 'utf8')) as unknown;
}
