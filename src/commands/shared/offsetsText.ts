/** A range of offsets for a person. The last one is included. */
export function offsetsText(first: number, last: number): string {
  return first === last ? `offset ${first}` : `offsets ${first} to ${last}`;
}
