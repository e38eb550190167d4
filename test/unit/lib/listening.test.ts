import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import { expect, it, onTestFinished } from 'vitest';
import { startCodecServer } from '../../../src/commands/codecServer/codecServer.js';
import { listenError } from '../../../src/lib/listening.js';
import { startHealthServer } from '../../../src/telemetry/healthServer.js';

it('an address that another process has is named, with the setting that chooses it and what to do', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void other.close());
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const inUse = `is 127.0.0.1:${port}: another process listens there. End that one, or choose another port`;
  const health = startHealthServer({ host: '127.0.0.1', port, metricsToken: null }, new Registry(), () => []);
  await expect(health).rejects.toEqual(new Error(`http.listen ${inUse}`));
  const codec = startCodecServer({ listen: `127.0.0.1:${port}`, origin: [] });
  await expect(codec).rejects.toEqual(new Error(`--listen ${inUse}`));
});

it('an address that the machine does not have is said to be none of its own', async () => {
  // Of the block that is for documentation.
  const health = startHealthServer({ host: '192.0.2.1', port: 0, metricsToken: null }, new Registry(), () => []);
  await expect(health).rejects.toThrow('http.listen is 192.0.2.1:0: this machine has no such address. Choose one');
});

it('what the operating system or Temporal’s SDK say otherwise is told, too', () => {
  const messageOf = (message: string) => listenError(new Error(message), 'http.temporalListen', '[::1]:80').message;
  expect(messageOf('Failed to start prometheus metrics exporter: Address already in use (os error 98)')).toBe(
    'http.temporalListen is [::1]:80: another process listens there. End that one, or choose another port',
  );
  expect(messageOf('listen EACCES: permission denied ::1:80')).toContain('Choose a port from 1024 on');
  expect(messageOf('what else')).toContain('it cannot be listened on (what else)');
});
