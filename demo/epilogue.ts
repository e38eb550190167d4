import type { ClickHouseClient } from '@clickhouse/client';
import { drawBars } from './bars.js';
import { busiestAirports, strongestEarthquakes } from './database.js';
import { heading, printIndented, printPairs } from './output.js';
import type { Session } from './session.js';
import { grouped } from './text.js';

const BAR_WIDTH = 30;

/** Shows what can now be asked of ClickHouse. */
export async function showQueries(clickhouse: ClickHouseClient): Promise<void> {
  heading('In ClickHouse now');
  const airports = await busiestAirports(clickhouse);
  const airportBars = airports.map(({ origin, flights, averageDelay }) => ({
    label: origin,
    value: flights,
    figure: grouped(flights),
    note: `${averageDelay.toFixed(1)} min late on average`,
  }));
  printIndented(['The busiest airports: flights from them, and their delay', ...drawBars(airportBars, BAR_WIDTH), '']);
  const earthquakes = await strongestEarthquakes(clickhouse);
  const earthquakeBars = earthquakes.map(({ magnitude, place, day }) => ({
    label: day,
    value: magnitude,
    figure: magnitude.toFixed(1),
    note: place,
  }));
  printIndented(['The strongest earthquakes of a week, out of nested JSON', ...drawBars(earthquakeBars, BAR_WIDTH)]);
}

/** Says where everything is, and waits until it is to end: for Ctrl-C, or until something fails. */
export async function keepRunning({ stack, bridge, signal }: Session): Promise<void> {
  heading('Everything keeps running until Ctrl-C');
  printPairs([
    ['Temporal UI', stack.temporal.uiUrl ?? 'not available'],
    ['Batchers', bridge.commandLine('status')],
    ['ClickHouse', `curl '${stack.clickhouse.url}' -d 'SELECT * FROM flights LIMIT 2 FORMAT Vertical'`],
    ['Metrics', `curl ${bridge.url}/metrics`],
    ['Kafka', stack.kafka.brokers.join(',')],
  ]);
  // Nothing else keeps the process alive.
  const keepAlive = setInterval(() => undefined, 60_000);
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
  clearInterval(keepAlive);
}

/** Says what to do next. */
export function showNextCommands(): void {
  heading('Go on');
  printPairs([
    ['npm run demo -- --keep', "keeps it all running: Temporal's UI, ClickHouse, status"],
    ['npm run demo -- --records 1000000', 'sends more'],
    ['demo/ktb.yaml, demo/tables.sql', 'all that was configured for this'],
    ['node dist/cli.js --help', 'the command line; installed, it is called ktb'],
  ]);
  console.log();
}
