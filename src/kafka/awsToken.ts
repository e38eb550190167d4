import { generateAuthToken, generateAuthTokenFromRole } from 'aws-msk-iam-sasl-signer-js';
import type { AwsSasl } from '../config/config.js';
import { messageOf } from '../lib/messageOf.js';
import { within } from '../lib/within.js';
import { TokenRefusedError, TokenUnavailableError } from './tokenErrors.js';
import type { Token } from './tokenRequest.js';

/** The name of ktb's sessions in AWS's logs. */
const SESSION = 'kafka-temporal-bridge';

/**
 * Signs a token for Amazon MSK. The credentials are those that the AWS SDK finds: environment, files, web identity of a
 * service account, metadata of a container or a machine. Only finding them, or assuming the role, asks AWS.
 *
 * @throws TokenRefusedError if AWS does not let this identity assume the role
 * @throws TokenUnavailableError if there are no credentials
 */
export async function signToken({ region, roleArn }: AwsSasl, timeoutMs: number): Promise<Token> {
  try {
    const { token, expiryTime } = await within(
      roleArn === undefined
        ? generateAuthToken({ region })
        : generateAuthTokenFromRole({ region, awsRoleArn: roleArn, awsRoleSessionName: SESSION }),
      timeoutMs,
    );
    return { value: token, lifeMs: expiryTime - Date.now() };
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
