/** The time zone of a column: the parameter of its type, or the default if it has none. */
export function zoneOf(parameter: string, timeZone: string): string {
  return parameter === '' ? timeZone : parameter.slice(1, -1);
}

/**
 * Gives what a clock of a time zone shows at an instant, both as seconds since 1970. For zones that JavaScript does not
 * know (ClickHouse's `localtime`) it uses UTC. `knowsZone` tells which.
 */
export function wallClock(timeZone: string): (seconds: number) => number {
  if (!knowsZone(timeZone)) return (seconds) => seconds;
  const format = new Intl.DateTimeFormat('en-US', {
    ...{ timeZone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric' },
    ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
  });
  return (seconds) => {
    const parts = Object.fromEntries(
      format.formatToParts(seconds * 1000).map(({ type, value }) => [type, Number(value)]),
    );
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = parts;
    return Date.UTC(year, month - 1, day, hour, minute, second) / 1000;
  };
}

/** Whether JavaScript knows a time zone. */
export function knowsZone(timeZone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone });
    return true;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return false;
  }
}
