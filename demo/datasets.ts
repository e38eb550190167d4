import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** A record to produce. */
export interface DemoRecord {
  readonly key: string;
  readonly value: string;
}

/** A public data set as the records of one pipeline; topic and table have its name. */
export interface Dataset {
  readonly name: string;
  /** Good records, numbered from 0. */
  readonly records: number;
  /** Records that have to be rejected; their numbers follow those of the good ones. */
  readonly badRecords: number;
  /** The record of a number. */
  record(index: number): DemoRecord;
  /** The number of the record that a row was made from, by the row's `id`; undefined when there is none. */
  indexOfRow(id: string): number | undefined;
}

interface Flight {
  readonly origin: string;
}

interface Earthquake {
  readonly id: string;
  readonly properties: { readonly net: string };
}

/**
 * Domestic flights in the USA from January to March 2001, 20,000 of them, from the Bureau of Transportation Statistics;
 * repeated with new ids up to any number. Each is keyed by the airport it starts from.
 */
export function flights(records: number): Dataset {
  const templates = (readDataset('flights-20k.json') as Flight[]).map((flight) => ({
    key: flight.origin,
    // All but the opening brace, behind which the id goes.
    tail: JSON.stringify(flight).slice(1),
  }));
  const template = (index: number): { key: string; tail: string } =>
    templates[index % templates.length] as { key: string; tail: string };
  return {
    name: 'flights',
    records,
    badRecords: badValues.length,
    record: (index) => {
      const { key, tail } = template(index);
      const bad = badValues[index - records];
      return { key, value: bad?.(index) ?? `{"id":${index},${tail}` };
    },
    indexOfRow: (id) => {
      const index = Number(id);
      return Number.isInteger(index) && index >= 0 && index < records + badValues.length ? index : undefined;
    },
  };
}

/** What goes wrong in practice: cut off on the way, of another shape, of another type. */
const badValues: readonly ((index: number) => string)[] = [
  (index) => `{"id":${index},"date":"2001/01/01 00:47","delay":`,
  () => '["2001/01/01 00:47",66,1750,"DTW","LAS"]',
  (index) =>
    `{"id":${index},"date":"2001/01/01 00:47","delay":"late","distance":1750,"origin":"DTW","destination":"LAS"}`,
];

/** The earthquakes of a week in 2018, 1,707 of them, as GeoJSON features of the US Geological Survey; keyed by network. */
export function earthquakes(): Dataset {
  const { features } = readDataset('earthquakes.json') as { features: Earthquake[] };
  const indexOf = new Map(features.map(({ id }, index) => [id, index]));
  return {
    name: 'earthquakes',
    records: features.length,
    badRecords: 0,
    record: (index) => {
      const feature = features[index] as Earthquake;
      return { key: feature.properties.net, value: JSON.stringify(feature) };
    },
    indexOfRow: (id) => indexOf.get(id),
  };
}

/** A file of npm's vega-datasets. */
function readDataset(file: string): unknown {
  const require = createRequire(import.meta.url);
  const directory = join(dirname(require.resolve('vega-datasets')), '..', 'data');
  return JSON.parse(readFileSync(join(directory, file), 'utf8')) as unknown;
}
