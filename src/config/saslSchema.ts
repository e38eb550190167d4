import { z } from 'zod';
import { isConfidential } from '../lib/confidentialUrl.js';
import { nonEmpty, secret } from './valueSchemas.js';

/** The keys of each kind of login: those that it needs, and those that it may have. */
const LOGINS = {
  password: { needs: ['username', 'password'], may: [] },
  token: { needs: ['tokenUrl', 'clientId', 'clientSecret'], may: ['scope', 'audience'] },
  aws: { needs: ['region'], may: ['roleArn'] },
} as const;

/** The mechanisms, and which kind of login each one is. */
const MECHANISMS = {
  plain: 'password',
  'scram-sha-256': 'password',
  'scram-sha-512': 'password',
  oauthbearer: 'token',
  'aws-msk-iam': 'aws',
} as const satisfies Readonly<Record<string, keyof typeof LOGINS>>;

type Mechanism = keyof typeof MECHANISMS;

/**
 * `kafka.sasl`. It is one mapping with all keys, not one for each mechanism: so a person who mixes them up reads which
 * key is too much, and the reference has one table.
 */
export const sasl = z
  .strictObject({
    mechanism: z.enum(Object.keys(MECHANISMS) as [Mechanism, ...Mechanism[]]).describe('Mechanism.'),
    username: nonEmpty.optional().describe('User, of plain and SCRAM.'),
    password: secret.optional().describe('Password, of plain and SCRAM.'),
    tokenUrl: z
      .url({ protocol: /^https?$/, error: 'must be an https:// address' })
      // By RFC 6749, 3.2: it gets the client's secret, and gives the token.
      .refine((url) => !URL.canParse(url) || isConfidential(new URL(url)), {
        error:
          'must be an https:// address, or one of this machine: the secret and the token would be readable on the way',
      })
      .refine((url) => !/^[a-z]+:\/\/[^/]*@/i.test(url), {
        error: 'must have no user or password in it: set clientId and clientSecret',
      })
      .optional()
      .describe(
        'Token endpoint of the authorization server, of oauthbearer. A token is asked for with the grant client_credentials. It is https, except on this machine.',
      ),
    clientId: nonEmpty.optional().describe('Client id at the authorization server, of oauthbearer.'),
    clientSecret: secret.optional().describe('Client secret, of oauthbearer.'),
    scope: nonEmpty.optional().describe('Scopes to ask for, separated by spaces, of oauthbearer.'),
    audience: nonEmpty.optional().describe('Audience to ask for, of oauthbearer. Only some servers want it.'),
    region: z
      .string()
      .regex(/^[a-z]{2,}(-[a-z]+)+-\d+$/, { error: 'must be a region of AWS, such as eu-central-1' })
      .optional()
      .describe('Region of the cluster, of aws-msk-iam. Credentials are those of the AWS SDK.'),
    roleArn: z
      .string()
      .regex(/^arn:aws[a-z-]*:iam::\d{12}:role\/.+$/, {
        error: 'must be the ARN of a role, such as arn:aws:iam::123456789012:role/ktb',
      })
      .optional()
      .describe('Role to assume first, of aws-msk-iam.'),
  })
  .superRefine((given, context) => {
    const { needs, may } = LOGINS[MECHANISMS[given.mechanism]];
    const known: readonly string[] = ['mechanism', ...needs, ...may];
    for (const key of needs)
      if ((given as Readonly<Record<string, unknown>>)[key] === undefined)
        context.addIssue({ code: 'custom', path: [key], message: 'is missing' });
    for (const [key, value] of Object.entries(given))
      if (value !== undefined && !known.includes(key))
        context.addIssue({
          code: 'custom',
          path: [key],
          message: `has no meaning with mechanism ${given.mechanism}, which has ${known.slice(1).join(', ')}`,
        });
  });
