/**
 * The text of an answer, which may come from anybody.
 *
 * @throws Error if it is longer than that. The rest is not read
 */
export async function readAtMost({ body }: Response, bytesMax: number): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of (body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += part.length;
    if (bytes > bytesMax) throw new Error(`its answer is longer than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}
