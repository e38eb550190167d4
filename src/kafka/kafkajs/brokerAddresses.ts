import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ISocketFactoryArgs } from 'kafkajs';

/** The same as in kafkajs's own socket factory. */
const KEEP_ALIVE_MS = 60_000;

/**
 * An address in a form that kafkajs understands. kafkajs splits an address at the first colon, so for `[::1]:9092` it
 * takes `[` as the host. So the host's colons are escaped, and {@link openSocket} undoes that. Brokers advertise host
 * and port separately, so this is needed for bootstrap addresses only.
 *
 * @param address `host:port`, or an IPv6 address in brackets and a port
 */
export function bootstrapAddress(address: string): string {
  const [, host = '', port = ''] = /^\[(.*)\]:(\d+)$/.exec(address) ?? [];
  return host === '' ? address : `${encodeURIComponent(host)}:${port}`;
}

/** Without TLS, `ssl` is missing or null, although kafkajs's types say otherwise. */
type SocketArgs = Omit<ISocketFactoryArgs, 'ssl'> & { readonly ssl?: ISocketFactoryArgs['ssl'] | boolean | null };

/** Opens sockets for kafkajs, like its own factory, but with the escaped hosts of {@link bootstrapAddress}. */
export function openSocket({ host: escaped, port, ssl, onConnect }: SocketArgs): Socket {
  const host = escaped.includes('%3A') ? decodeURIComponent(escaped) : escaped;
  // The zone of a link-local address does not belong to the IP address.
  const servername = isIP(host.split('%', 1)[0] ?? host) === 0 ? { servername: host } : {};
  const socket = ssl
    ? connectTls({ host, port, ...servername, ...(ssl === true ? {} : ssl) }, onConnect)
    : connectPlain({ host, port }, onConnect);
  return socket.setKeepAlive(true, KEEP_ALIVE_MS);
}
