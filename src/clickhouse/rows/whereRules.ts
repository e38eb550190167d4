import { latin1 } from '../../lib/latin1.js';
import type { Constant } from '../../protocol/columnSource.js';
import type { WhereRule } from '../../protocol/whereRule.js';
import { UNKNOWN } from './deletionGaps.js';
import { textOfString } from '../values/jsonText.js';
import { JsonPointers, type JsonPlace } from '../values/jsonPointers.js';

/** Tells of values whether they are what a pipeline takes. */
export class WhereRules {
  readonly #pointers = new JsonPointers();
  readonly #rules: readonly { readonly place: JsonPlace; readonly holds: (found: string | undefined) => boolean }[];

  constructor(rules: readonly WhereRule[]) {
    this.#rules = rules.map((rule) => ({ place: this.#pointers.add(rule.pointer), holds: testOf(rule) }));
  }

  /**
   * @param text of a JSON value, one character per byte
   * @param isPart whether it may be only a part of what there was. Then what may stand for something unknown speaks against no
   *   rule
   */
  hold(text: string, isPart = false): boolean {
    this.#pointers.read(text);
    return this.#rules.every(({ place, holds }) => {
      const json = this.#pointers.textAt(place);
      const found = json === 'null' ? undefined : json;
      return (isPart && (found === undefined || UNKNOWN.test(found))) || holds(found);
    });
  }
}

function testOf({ equals, notEquals, in: some, notIn, exists }: WhereRule): (found: string | undefined) => boolean {
  const tests: ((found: string | undefined) => boolean)[] = [];
  const isOneOf = (constants: readonly Constant[]): ((found: string | undefined) => boolean) => {
    const equal = constants.map(equalTo);
    return (found) => found !== undefined && equal.some((isEqual) => isEqual(found));
  };
  const isNone = (constants: readonly Constant[]): ((found: string | undefined) => boolean) => {
    const is = isOneOf(constants);
    return (found) => !is(found);
  };
  if (equals !== undefined) tests.push(isOneOf([equals]));
  if (some !== undefined) tests.push(isOneOf(some));
  if (notEquals !== undefined) tests.push(isNone([notEquals]));
  if (notIn !== undefined) tests.push(isNone(notIn));
  if (exists !== undefined) tests.push((found) => (found !== undefined) === exists);
  return (found) => tests.every((test) => test(found));
}

/** Compares JSON. A text also equals the number that is written like it, so that numbers of any length can be told. */
function equalTo(constant: Constant): (found: string) => boolean {
  if (typeof constant === 'boolean') return (found) => found === String(constant);
  if (typeof constant === 'number') {
    const digits = String(constant);
    // 5.0 and 5e0 are 5. No double tells the end of longer numbers.
    return (found) => found === digits || (isShortNumber(found) && Number(found) === constant);
  }
  const text = latin1(constant);
  return (found) =>
    found.startsWith('"') ? textOfString(found, 0, found.length) === text : isNumber(found) && found === text;
}

/** Digits of a number that a double tells from all others. */
const SHORT = 15;

function isShortNumber(json: string): boolean {
  return json.length <= SHORT && isNumber(json);
}

function isNumber(json: string): boolean {
  return /^-?\d/.test(json);
}
