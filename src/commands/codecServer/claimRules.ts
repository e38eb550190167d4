import { pointerTokens, valueAtPointer } from '../../lib/jsonPointer.js';
import { UsageError } from '../../lib/usageError.js';

type Claims = Readonly<Record<string, unknown>>;

/** Claims that are lists in one text, with a space between each two (RFC 8693, 4.2; Entra ID has `scp`). */
const LISTS_IN_TEXT = ['scope', 'scp'];

/** A value that a token must have. */
export interface ClaimRule {
  readonly claim: string;
  readonly value: string;
}

/**
 * Reads `--oidc-allow`: `claim=value`. The claim is a name, or a JSON pointer such as `/realm_access/roles`.
 *
 * @throws UsageError
 */
export function claimRule(text: string): ClaimRule {
  const [, claim, value] = /^([^=]+)=(.+)$/s.exec(text) ?? [];
  if (claim === undefined || value === undefined)
    throw new UsageError(`--oidc-allow ${text} is no claim and value, such as groups=payload-readers`);
  return { claim, value };
}

/** Whether a token keeps at least one of the rules. A claim that is a list keeps a rule if one of its values does. */
export function isAllowed(claims: Claims, rules: readonly ClaimRule[]): boolean {
  return rules.some(({ claim, value }) => textsOf(claims, claim).includes(value));
}

/** The user's name in a token, for the log. Null if the claim is missing, or is no text. */
export function userOf(claims: Claims, claim: string): string | null {
  const value = claimOf(claims, claim);
  return typeof value === 'string' && value.trim() !== '' ? value : null;
}

function textsOf(claims: Claims, claim: string): readonly string[] {
  const value = claimOf(claims, claim);
  if (typeof value === 'string' && LISTS_IN_TEXT.includes(claim)) return value.split(' ');
  return (Array.isArray(value) ? value : [value]).filter(isScalar).map(String);
}

function isScalar(value: unknown): value is string | number | boolean {
  return ['string', 'number', 'boolean'].includes(typeof value);
}

/** A name may have any characters, a leading slash excepted: some issuers' are whole addresses. */
function claimOf(claims: Claims, claim: string): unknown {
  return valueAtPointer(claims, claim.startsWith('/') ? pointerTokens(claim) : [claim]);
}
