const HOST = '(?:\\[[0-9a-fA-F:.]+(?:%[\\w.-]+)?\\]|[^\\s,:/\\[\\]]+)';
/** The prefix that brokers' listeners have. It is ignored, because `ssl` and `sasl` say the same. */
const LISTENER = '(?:[A-Za-z][A-Za-z0-9_]*://)?';
const BROKER = `${LISTENER}${HOST}:\\d{1,5}`;

/** Addresses of brokers in one text, as in an environment variable: separated by commas or spaces. */
export const BROKER_LIST = new RegExp(`^[\\s,]*${BROKER}(?:[\\s,]+${BROKER})*[\\s,]*$`);

/** `host:port` or `[IPv6]:port`. The port is optional, for addresses with a default port. */
export const ADDRESS = new RegExp(`^${HOST}(?::\\d{1,5})?$`);

const PORT_MAX = 65_535;

/** The parts of an {@link ADDRESS}. The host is without brackets, as sockets take it. */
export function splitAddress(address: string, defaultPort: number): { readonly host: string; readonly port: number } {
  const [, host = address, port = defaultPort] = /^\[?(.*?)\]?(?::(\d+))?$/.exec(address) ?? [];
  return { host, port: Number(port) };
}

/** The addresses in a text that {@link BROKER_LIST} matches, each as `host:port`. */
export function brokersOf(text: string): string[] {
  return text
    .split(/[\s,]+/)
    .filter((part) => part !== '')
    .map((part) => part.replace(new RegExp(`^${LISTENER}`), ''));
}

/** Says what is wrong with a list of brokers. Null if nothing is. */
export function brokerListProblem(text: string): string | null {
  const parts = brokersOf(text);
  if (parts.length === 0) return 'must be host:port, and is empty';
  for (const part of parts) {
    const problem = brokerProblem(part);
    if (problem !== null) return problem;
  }
  return null;
}

function brokerProblem(address: string): string | null {
  // It may be a secret, so it is not quoted.
  if (address.includes('@')) return 'must be host:port, without a user or a password: they belong to kafka.sasl';
  if (/^[^[\]]*:[^[\]]*:/.test(address))
    return `must be host:port; an IPv6 address is written in brackets, as [::1]:9092, and not as ${address}`;
  if (!new RegExp(`^${HOST}:`).test(address)) return `must be host:port`;
  if (!new RegExp(`^${BROKER}$`).test(address)) return `must be host:port, and ${address} has no port that is a number`;
  return isPort(address) ? null : `must be host:port, and the port of ${address} is over ${PORT_MAX}`;
}

/** The message for an address that {@link isPort} refuses. */
export const PORT_TOO_HIGH = `has a port over ${PORT_MAX}`;

/** Whether an address has no port, or a valid one. */
export function isPort(address: string): boolean {
  const [, port = '0'] = /:(\d+)$/.exec(address) ?? [];
  return Number(port) <= PORT_MAX;
}
