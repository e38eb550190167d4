/** Computes for so many rounds, in a callback of a promise, as the batcher's handlers do. */
export async function slowWorkflow(rounds: number): Promise<number> {
  await Promise.resolve();
  return compute(rounds);
}

/** What one round takes is measured outside: a workflow's clock stands still while it computes. */
export function compute(rounds: number): number {
  let sum = 0;
  for (let round = 0; round < rounds; round++) sum = (sum * 31 + round) % 1_000_003;
  return sum;
}
