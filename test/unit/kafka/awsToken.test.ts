import { createHash, createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { signToken } from '../../../src/kafka/awsToken.js';
import { TokenRefusedError, TokenUnavailableError } from '../../../src/kafka/tokenErrors.js';
import { startHttpServer } from '../../support/httpServer.js';

const KEY = 'AKIDEXAMPLE';
const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
const ROLE = 'arn:aws:iam::123456789012:role/ktb';

beforeEach(() => {
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) vi.stubEnv(name, undefined);
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
  vi.stubEnv('AWS_CONFIG_FILE', '/nowhere');
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere');
});
afterEach(() => vi.unstubAllEnvs());

function haveCredentials(): void {
  vi.stubEnv('AWS_ACCESS_KEY_ID', KEY);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', SECRET);
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/** AWS's signature, version 4, of a presigned URL, as AWS computes it from the secret. */
function signatureOf(url: URL, secret: string): string {
  const [, date = '', region = '', service = ''] = (url.searchParams.get('X-Amz-Credential') ?? '').split('/');
  const query = [...url.searchParams]
    .filter(([name]) => name !== 'X-Amz-Signature' && name !== 'User-Agent')
    .map((pair) => pair.map(encodeURIComponent).join('='))
    .sort()
    .join('&');
  const empty = createHash('sha256').digest('hex');
  const request = ['GET', '/', query, `host:${url.host}`, '', 'host', empty].join('\n');
  const scope = `${date}/${region}/${service}/aws4_request`;
  const time = url.searchParams.get('X-Amz-Date') ?? '';
  const text = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(request).digest('hex')].join('\n');
  const key = [date, region, service, 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secret}`);
  return hmac(key, text).toString('hex');
}

const urlOf = (token: string): URL => new URL(Buffer.from(token, 'base64url').toString());

it('a token is a signed request to connect, of this region and for a quarter of an hour', async () => {
  haveCredentials();
  const { value, lifeMs } = await signToken({ mechanism: 'aws-msk-iam', region: 'eu-central-1' }, 5_000);
  const url = urlOf(value);
  expect(value).toMatch(/^[\w-]+$/);
  expect(url.host).toBe('kafka.eu-central-1.amazonaws.com');
  const day = new Date().toISOString().slice(0, 10).replaceAll('-', '');
  expect(Object.fromEntries(url.searchParams)).toMatchObject({
    Action: 'kafka-cluster:Connect',
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${KEY}/${day}/eu-central-1/kafka-cluster/aws4_request`,
    'X-Amz-Expires': '900',
    'X-Amz-SignedHeaders': 'host',
    'X-Amz-Signature': signatureOf(url, SECRET),
  });
  expect(lifeMs).toBeGreaterThan(890_000);
  expect(lifeMs).toBeLessThanOrEqual(900_000);
});

/** Security Token Service, as far as a role is assumed. */
async function fakeSts(status: number, body: string): Promise<string[]> {
  const asked: string[] = [];
  const address = await startHttpServer((request, response) => {
    request.on('data', (part: Buffer) => asked.push(part.toString()));
    request.on('end', () => response.writeHead(status, { 'content-type': 'text/xml' }).end(body));
  });
  vi.stubEnv('AWS_ENDPOINT_URL_STS', address);
  return asked;
}

const roleUntil = (expiration: string): string =>
  `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
    <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey><SessionToken>session</SessionToken>
    <Expiration>${expiration}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`;

it('with a role, the token is signed with that role’s credentials', async () => {
  haveCredentials();
  const asked = await fakeSts(200, roleUntil('2099-01-01T00:00:00Z'));
  const { value } = await signToken({ mechanism: 'aws-msk-iam', region: 'us-east-1', roleArn: ROLE }, 5_000);
  expect(Object.fromEntries(new URLSearchParams(asked.join('')))).toMatchObject({
    Action: 'AssumeRole',
    RoleArn: ROLE,
    RoleSessionName: 'kafka-temporal-bridge',
  });
  const url = urlOf(value);
  expect(url.searchParams.get('X-Amz-Credential')).toMatch(/^ASIAROLE\//);
  expect(url.searchParams.get('X-Amz-Security-Token')).toBe('session');
  expect(url.searchParams.get('X-Amz-Signature')).toBe(signatureOf(url, 'role-secret'));
});

it('a token whose credentials end soon says that it lives for whole seconds, and is used until they end', async () => {
  haveCredentials();
  const endsAt = Date.now() + 600_437;
  await fakeSts(200, roleUntil(new Date(endsAt).toISOString()));
  const { value, lifeMs } = await signToken({ mechanism: 'aws-msk-iam', region: 'us-east-1', roleArn: ROLE }, 5_000);
  const url = urlOf(value);
  // AWS refuses what is no whole number.
  expect(url.searchParams.get('X-Amz-Expires')).toBe('900');
  expect(url.searchParams.get('X-Amz-Signature')).toBe(signatureOf(url, 'role-secret'));
  expect(lifeMs).toBeGreaterThan(590_000);
  expect(lifeMs).toBeLessThanOrEqual(600_437);
});

it('credentials that a process gives end with their time, too', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ktb-aws-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const Expiration = new Date(Date.now() + 400_437).toISOString();
  const given = JSON.stringify({
    Version: 1,
    AccessKeyId: KEY,
    SecretAccessKey: SECRET,
    SessionToken: 's',
    Expiration,
  });
  await writeFile(join(folder, 'given'), given);
  await writeFile(join(folder, 'config'), `[default]\ncredential_process = cat ${join(folder, 'given')}\n`);
  vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'config'));
  const { value, lifeMs } = await signToken({ mechanism: 'aws-msk-iam', region: 'us-east-1' }, 5_000);
  expect(urlOf(value).searchParams.get('X-Amz-Expires')).toBe('900');
  expect(lifeMs).toBeGreaterThan(390_000);
  expect(lifeMs).toBeLessThanOrEqual(400_437);
});

it('a role that may not be assumed is told so, and so are missing credentials', async () => {
  const denied = `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>`;
  await fakeSts(403, denied);
  haveCredentials();
  const refused = signToken({ mechanism: 'aws-msk-iam', region: 'us-east-1', roleArn: ROLE }, 5_000);
  await expect(refused).rejects.toThrow(/does not let this identity assume the role arn:.*not authorized/);
  await expect(refused).rejects.toBeInstanceOf(TokenRefusedError);
  vi.stubEnv('AWS_ACCESS_KEY_ID', undefined);
  const missing = signToken({ mechanism: 'aws-msk-iam', region: 'us-east-1' }, 5_000);
  await expect(missing).rejects.toThrow(/no credentials of AWS to sign a token with/);
  await expect(missing).rejects.toBeInstanceOf(TokenUnavailableError);
});
