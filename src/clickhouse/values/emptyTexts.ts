import { parseColumnType } from './columnTypes.js';

/** Whether values of a type may be an empty text. */
export function takesEmptyText(text: string): boolean {
  const { name, parameters } = parseColumnType(text);
  const [first = '', second = ''] = parameters;
  switch (name) {
    case 'String':
    case 'FixedString':
    case 'Dynamic':
    case 'AggregateFunction':
      return true;
    case 'Enum8':
    case 'Enum16':
      return parameters.some((element) => element.startsWith("''"));
    case 'Nullable':
    case 'LowCardinality':
      return takesEmptyText(first);
    case 'SimpleAggregateFunction':
      return takesEmptyText(second);
    case 'Variant':
      return parameters.some(takesEmptyText);
    default:
      return false;
  }
}
