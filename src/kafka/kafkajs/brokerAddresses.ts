import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ISocketFactoryArgs } from 'kafkajs';

/** As kafkajs's own. */
const KEEP_ALIVE_MS = 60_000;

/**
 * An address as kafkajs can take it: it divides it at the first colon, which makes of `[::1]:9092` the host `[`. So the colons
 * of the host are escaped, until the socket is opened by {@link openSocket}. What brokers advertise has host and port apart.
 *
 * @param address `host:port`, or an IPv6 address in brackets and a port
 */
export function bootstrapAddress(address: string): string {
  const [, host = '', port = ''] = /^\[(.*)\]:(\d+)$/.exec(address) ?? [];
  return host === '' ? address : `${encodeURIComponent(host)}:${port}`;
}

/** Without TLS it is left out, or null, whatever kafkajs's types say. */
type SocketArgs = Omit<ISocketFactoryArgs, 'ssl'> & { readonly ssl?: ISocketFactoryArgs['ssl'] | boolean | null };

/** Opens sockets for kafkajs; as its own, but for the escaped hosts. */
export function openSocket({ host: escaped, port, ssl, onConnect }: SocketArgs): Socket {
  const host = escaped.includes('%3A') ? decodeURIComponent(escaped) : escaped;
  // The zone of a link-local address is no part of what is compared.
  const servername = isIP(host.split('%', 1)[0] ?? host) === 0 ? { servername: host } : {};
  const socket = ssl
    ? connectTls({ host, port, ...servername, ...(ssl === true ? {} : ssl) }, onConnect)
    : connectPlain({ host, port }, onConnect);
  return socket.setKeepAlive(true, KEEP_ALIVE_MS);
}
