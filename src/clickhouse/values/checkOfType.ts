import { arrayCheck, mapCheck, nullableCheck, tupleCheck } from './containerChecks.js';
import { parseColumnType, type ColumnType } from './columnTypes.js';
import {
  dateTime64Check,
  dateTimeCheck,
  dayCheck,
  DAYS_OF_DATE,
  DAYS_OF_DATE32,
  ticksCheck,
  timeOfDayCheck,
} from './dateChecks.js';
import { enumCheck } from './enumChecks.js';
import { dynamicCheck } from './inferredChecks.js';
import { pathsCheck } from './jsonPathChecks.js';
import { boolPathCheck, decimalCheck, decimalPathCheck, floatCheck, integerCheck } from './numberChecks.js';
import { fixedTextPathCheck, ipv6Check, textPathCheck, uuidCheck } from './textChecks.js';
import {
  allOf,
  DEFAULT_LIMITS,
  isAtPath,
  type LeavesOut,
  type Place,
  type ValueCheck,
  type ValueLimits,
} from './valueCheck.js';
import { variantCheck } from './variantChecks.js';

/*
 * Finds values that ClickHouse would change instead of refusing them. It keeps only the low bits of an integer that is
 * too large for its column (300 in a UInt8 becomes 44). It moves dates to the nearest possible one, and the 30th of
 * February into March. It makes infinity of a number that is too large for a float. It drops members of an object for
 * which a tuple has no element. No setting makes it refuse all of these values.
 *
 * Tested on ClickHouse 26.7 by the fuzz test of values, which compares what is stored with what was written, for all
 * types.
 */

/**
 * The check for a type as in `system.columns`. Undefined if every value passes.
 *
 * @param limits of the server. Default: those of every server
 * @param place of the type. Default: a column
 * @param leavesOut members that a tuple has no element for. Default: values with such a member do not fit
 */
export function checkOfType(
  text: string,
  limits: ValueLimits = DEFAULT_LIMITS,
  place: Place = 'column',
  leavesOut?: LeavesOut,
): ValueCheck | undefined {
  const type = parseColumnType(text);
  const { name, parameters } = type;
  const [first = '', second = ''] = parameters;
  const of = (inner: string): ValueCheck | undefined => checkOfType(inner, limits, place, leavesOut);
  const ofElement = (inner: string, element?: string): ValueCheck | undefined =>
    checkOfType(inner, limits, place, leavesOut && within(element, leavesOut));
  switch (name) {
    case 'Nullable':
      return nullableCheck(of(first));
    case 'LowCardinality':
      return of(first);
    case 'SimpleAggregateFunction':
      return of(second);
    case 'Array':
    case 'QBit':
      return arrayCheck(of(first));
    case 'Map':
      return mapCheck(first, of(first), of(second), limits);
    case 'Tuple':
      return tupleCheck(parameters, ofElement, leavesOut);
    case 'Nested':
      return arrayCheck(tupleCheck(parameters, ofElement, leavesOut));
    case 'Variant':
      return variantCheck(parameters, place, (inner, placeOfInner) => checkOfType(inner, limits, placeOfInner));
    case 'JSON':
    case 'Object':
      return pathsCheck(type, limits, (inner) => checkOfType(inner, limits, 'path'));
    case 'Dynamic':
      return dynamicCheck(place, limits);
    case 'Geometry':
      return allOf([...SHAPES.values()].map(of));
    default: {
      const shape = SHAPES.get(name);
      return shape === undefined ? checkOfScalar(type, limits, place) : of(shape);
    }
  }
}

function within(element: string | undefined, leavesOut: LeavesOut): LeavesOut {
  return element === undefined ? leavesOut : (name) => leavesOut(`${element}.${name}`);
}

/** The types that geometries stand for. */
const SHAPES: ReadonlyMap<string, string> = new Map([
  ['Point', 'Tuple(Float64, Float64)'],
  ['Ring', 'Array(Point)'],
  ['LineString', 'Array(Point)'],
  ['Polygon', 'Array(Ring)'],
  ['MultiLineString', 'Array(LineString)'],
  ['MultiPolygon', 'Array(Polygon)'],
]);

/** The check for a type that contains no other. Undefined if every value passes. */
function checkOfScalar({ name, parameters }: ColumnType, limits: ValueLimits, place: Place): ValueCheck | undefined {
  const [first = '', second = ''] = parameters;
  if (/^(U?Int\d+|Interval.+)$/.test(name)) return integerCheck(name, place);
  switch (name) {
    case 'Float32':
    case 'BFloat16':
      return floatCheck(Math.fround, place, limits);
    case 'Float64':
      return floatCheck(Number, place, limits);
    case 'Decimal':
      return place === 'path' ? decimalPathCheck : decimalCheck;
    case 'Date':
      return dayCheck(...DAYS_OF_DATE);
    case 'Date32':
      return dayCheck(...DAYS_OF_DATE32);
    case 'DateTime':
    case 'DateTime32':
      return dateTimeCheck(first, place, limits);
    case 'DateTime64':
      return ticksCheck(dateTime64Check(Number(first), second, place, limits), place);
    case 'Time':
      return timeOfDayCheck(0);
    case 'Time64':
      return ticksCheck(timeOfDayCheck(Number(first)), place);
    case 'Bool':
      return isAtPath(place) ? boolPathCheck : undefined;
    case 'Enum8':
    case 'Enum16':
      return enumCheck(parameters);
    case 'UUID':
      return uuidCheck(place, limits);
    case 'IPv6':
      return ipv6Check;
    case 'String':
      return place === 'path' ? textPathCheck : undefined;
    case 'FixedString':
      return place === 'path' ? fixedTextPathCheck : undefined;
    default:
      return undefined;
  }
}
