export const INT64_MIN = -(2n ** 63n);
export const UINT64_MAX = 2n ** 64n - 1n;

/** Integer types, the most usual first. */
const TYPES = (['Int64', 'UInt64', 'Int128', 'Int256', 'UInt256'] as const).map((type) => {
  const isUnsigned = type.startsWith('U');
  const bits = BigInt(type.replace(/\D+/, ''));
  const max = 2n ** (isUnsigned ? bits : bits - 1n) - 1n;
  return { type, min: isUnsigned ? 0n : -max - 1n, max };
});

/** The first type that holds all integers from the least to the largest one. Undefined if none does. */
export function integerType(least: bigint, largest: bigint): string | undefined {
  return TYPES.find(({ min, max }) => least >= min && largest <= max)?.type;
}
