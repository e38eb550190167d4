import { fromNodeProviderChain, fromTemporaryCredentials } from '@aws-sdk/credential-providers';
import { generateAuthTokenFromCredentialsProvider } from 'aws-msk-iam-sasl-signer-js';
import type { AwsSasl } from '../config/config.js';
import { messageOf } from '../lib/messageOf.js';
import { within } from '../lib/within.js';
import { TokenRefusedError, TokenUnavailableError } from './tokenErrors.js';
import type { Token } from './tokenRequest.js';

/** The name of ktb's sessions in AWS's logs. */
const SESSION = 'kafka-temporal-bridge';

/** How often a service of AWS is asked for credentials, at most. */
const ATTEMPTS_MAX = 3;

/**
 * Signs a token for Amazon MSK. The credentials are those that the AWS SDK finds: environment, files, web identity of a
 * service account, metadata of a container or a machine. Only finding them, or assuming the role, asks AWS.
 *
 * @throws TokenRefusedError if AWS does not let this identity assume the role
 * @throws TokenUnavailableError if there are no credentials
 */
export async function signToken({ region, roleArn }: AwsSasl, timeoutMs: number): Promise<Token> {
  try {
    return await within(sign(region, roleArn), timeoutMs);
  } catch (error) {
    const reason = messageOf(error);
    if (roleArn !== undefined && (error as Error).name === 'AccessDenied')
      throw new TokenRefusedError(
        `AWS does not let this identity assume the role ${roleArn} (${reason}): check kafka.sasl.roleArn and the role's trust policy`,
      );
    throw new TokenUnavailableError(
      `There are no credentials of AWS to sign a token with (${reason}): has this process a role or AWS_ACCESS_KEY_ID, and can it be reached?`,
    );
  }
}

/**
 * The token says that it lives for 15 minutes. It ends earlier with its credentials: then AWS refuses its signature. The
 * library would sign that it ends with them, to the millisecond, and AWS takes only whole seconds
 * (https://github.com/aws/aws-msk-iam-sasl-signer-js/pull/33).
 */
async function sign(region: string, roleArn: string | undefined): Promise<Token> {
  const { expiration, ...credentials } = await credentialsFrom(region, roleArn)();
  const { token, expiryTime } = await generateAuthTokenFromCredentialsProvider({
    region,
    awsCredentialsProvider: () => Promise.resolve(credentials),
  });
  return { value: token, lifeMs: Math.min(expiryTime, expiration?.getTime() ?? Infinity) - Date.now() };
}

function credentialsFrom(region: string, roleArn: string | undefined): ReturnType<typeof fromNodeProviderChain> {
  if (roleArn === undefined)
    return fromNodeProviderChain({ maxRetries: ATTEMPTS_MAX, roleSessionName: SESSION, clientConfig: { region } });
  return fromTemporaryCredentials({
    params: { RoleArn: roleArn, RoleSessionName: SESSION },
    clientConfig: { region, maxAttempts: ATTEMPTS_MAX },
  });
}
