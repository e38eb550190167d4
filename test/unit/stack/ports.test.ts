import { existsSync, readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { HOST, pickPorts, releasePorts, saysAddressInUse } from '../../../stack/ports.js';

const RANGE_FILE = '/proc/sys/net/ipv4/ip_local_port_range';

test('no port is given twice, and each can be listened on', async () => {
  const picked = (await Promise.all([pickPorts(20), pickPorts(20)])).flat();
  expect(new Set(picked).size).toBe(40);
  for (const port of picked.slice(0, 5)) {
    const server = createServer().listen(port, HOST);
    await new Promise((resolve) => server.once('listening', resolve));
    expect((server.address() as AddressInfo).port).toBe(port);
    server.close();
  }
  releasePorts(picked);
});

test.skipIf(!existsSync(RANGE_FILE))('no port is one that an outgoing connection could be given', async () => {
  const lowest = Number(readFileSync(RANGE_FILE, 'utf8').split(/\s/)[0]);
  const picked = await pickPorts(50);
  expect(Math.max(...picked)).toBeLessThan(lowest);
  releasePorts(picked);
});

test.each([
  'Socket server failed to bind to 127.0.0.1:9092: Address already in use.',
  "can't set frontend port 7233: listen tcp 127.0.0.1:7233: bind: address already in use",
  'listen EADDRINUSE: address already in use 127.0.0.1:8123',
])('%j says that the address is in use', (log) => {
  expect(saysAddressInUse(log)).toBe(true);
});
