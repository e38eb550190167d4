import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createGzip } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, inject, it, onTestFinished } from 'vitest';
import { pickPorts } from '../../../stack/ports.js';
import { eventually } from '../../support/eventually.js';
import { expectExactlyOnce } from '../../support/exactlyOnce.js';
import { Fixture } from '../../support/fixture.js';
import { useStack } from '../../support/useStack.js';
import { dockerClient } from './support/dockerClient.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const IMAGE = 'kafka-temporal-bridge:test';
const COMPRESSED_MB_MAX = 150;
const { environment, baseImages } = inject('engine');
const docker = dockerClient({ ...process.env, ...environment });
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };

beforeAll(async () => {
  const npmrc = join(homedir(), '.npmrc');
  const ca = process.env['NODE_EXTRA_CA_CERTS'];
  await docker(
    ...['build', '--file', join(ROOT, 'deploy/docker/Dockerfile'), '--tag', IMAGE, '--network', 'host'],
    ...(baseImages === undefined ? [] : ['--build-arg', `NODE_IMAGE=${baseImages.node}`]),
    ...(existsSync(npmrc) ? ['--secret', `id=npmrc,src=${npmrc}`] : []),
    ...(ca !== undefined && existsSync(ca) ? ['--secret', `id=ca,src=${ca}`] : []),
    ROOT,
  );
});

/** As `docker inspect` has it. */
interface State {
  readonly ExitCode: number;
  readonly Health: { readonly Status: string };
}

/** What a script prints, run by the image's Node instead of the daemon. */
const inImage = (script: string): Promise<string> =>
  docker('run', '--rm', '--read-only', '--network', 'none', '--entrypoint', 'node', IMAGE, '--eval', script);

describe('the image', () => {
  it(`has less than ${COMPRESSED_MB_MAX} MB, compressed as a registry holds it`, async () => {
    const saving = spawn('docker', ['save', IMAGE], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let bytes = 0;
    for await (const chunk of saving.stdout.pipe(createGzip()) as AsyncIterable<Buffer>) bytes += chunk.length;
    expect(bytes).toBeGreaterThan(10_000_000);
    console.log(`The image has ${Math.round(bytes / 1e6)} MB compressed.`);
    expect(bytes / 1e6).toBeLessThan(COMPRESSED_MB_MAX);
  });

  it('runs ktb as its user, not as root, and says what it is', async () => {
    const [inspected] = JSON.parse(await docker('inspect', IMAGE)) as {
      Config: {
        User: string;
        Env: string[];
        Labels: Record<string, string>;
        Healthcheck: { Test: string[] };
        ExposedPorts: object;
      };
    }[];
    expect(inspected?.Config.User).toBe('1000:1000');
    expect(inspected?.Config.Env).toEqual(
      expect.arrayContaining([
        ...['MALLOC_ARENA_MAX=2', 'MALLOC_TRIM_THRESHOLD_=131072', 'NODE_OPTIONS=--max-semi-space-size=16'],
        'KTB_CONFIG=/etc/ktb/ktb.yaml',
      ]),
    );
    expect(inspected?.Config.ExposedPorts).toEqual({ '9464/tcp': {} });
    expect(inspected?.Config.Labels).toMatchObject({
      'org.opencontainers.image.version': version,
      'org.opencontainers.image.licenses': 'Apache-2.0',
    });
    expect(await docker('run', '--rm', '--read-only', IMAGE, '--version')).toBe(version);
    expect(await inImage('process.stdout.write(process.getuid() + " " + process.versions.node)')).toMatch(/^1000 24\./);
  });

  it('has no npm, no compiler, no development packages, one native core, and the workflow bundle', async () => {
    const found = await inImage(`
      const { existsSync, readdirSync } = require('node:fs');
      const places = ['/usr/local/bin', '/usr/bin', '/bin'];
      const tools = ['npm', 'npx', 'yarn', 'corepack', 'gcc', 'cc', 'g++', 'make', 'python3', 'git'];
      const packages = ['typescript', 'vitest', 'eslint', 'chdb', 'testcontainers', 'tsx'];
      process.stdout.write(JSON.stringify({
        tools: tools.filter((name) => places.some((place) => existsSync(place + '/' + name))),
        packages: packages.filter((name) => existsSync('/app/node_modules/' + name)),
        cores: readdirSync('/app/node_modules/@temporalio/core-bridge/releases').length,
        bundle: existsSync('/app/dist/workflows/bundle.js'),
        sources: existsSync('/app/src'),
      }));`);
    expect(JSON.parse(found)).toEqual({ tools: [], packages: [], cores: 1, bundle: true, sources: false });
  });

  it('knows the public CAs, for Temporal’s native core too', async () => {
    const count = await inImage(`
      const { X509Certificate } = require('node:crypto');
      const text = require('node:fs').readFileSync('/etc/ssl/certs/ca-certificates.crt', 'utf8');
      const certificates = text.split(/(?<=-----END CERTIFICATE-----)\\s*/).filter(Boolean);
      process.stdout.write(String(certificates.filter((pem) => new X509Certificate(pem).ca).length));`);
    expect(Number(count)).toBeGreaterThan(100);
  });

  it('reports a problem of its configuration and ends with 2', async () => {
    const ended: unknown = await docker('run', '--rm', '--read-only', IMAGE).catch((error: unknown) => error);
    expect(String(ended)).toContain('/etc/ktb/ktb.yaml');
    expect((ended as Error).cause).toMatchObject({ code: 2 });
  });

  it('is not healthy where no daemon answers', async () => {
    const args = ['run', '--rm', '--read-only', '--network', 'none', '--entrypoint', 'node', IMAGE];
    await expect(docker(...args, '/app/healthcheck.mjs')).rejects.toThrow(/ktb\.yaml/);
  });
});

describe('a container', () => {
  const stack = useStack({ flavour: 'native' });
  const directory = mkdtempSync(join(tmpdir(), 'ktb-image-'));
  afterAll(() => rmSync(directory, { recursive: true }));

  it('turns 1,000 records into rows and acks with nothing writable, is healthy, and ends with 0 at SIGTERM', async () => {
    const [port = 0] = await pickPorts(1);
    const fixture = await Fixture.create(stack(), { config: { http: { listen: `127.0.0.1:${port}` } } });
    await fixture.collectAcks();
    await fixture.produce(1_000);
    // The container's user is another one.
    chmodSync(directory, 0o755);
    writeFileSync(join(directory, 'ktb.yaml'), fixture.config());
    const container = await docker(
      ...['run', '--detach', '--network', 'host', '--volume', `${directory}:/etc/ktb:ro`],
      ...['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--health-interval', '1s', IMAGE],
    );
    onTestFinished(async () => {
      await docker('rm', '--force', container);
    });
    const state = async () =>
      (JSON.parse(await docker('inspect', container)) as { State: State }[]).map(({ State }) => State)[0];
    await eventually(async () => expect((await state())?.Health.Status).toBe('healthy'), 30_000);
    await expectExactlyOnce(fixture, { acksOnce: true });
    await docker('stop', '--time', '30', container);
    expect((await state())?.ExitCode).toBe(0);
    expect(await docker('logs', container)).toContain('"level"');
  });
});
