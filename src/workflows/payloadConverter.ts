import { defaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';

/**
 * The default converter, except for payloads that it cannot read: invalid JSON, or an unknown encoding. There the
 * default converter throws, and one foreign signal would fail the workflow task again and again. Here such an argument
 * becomes its encoding and its bytes. These are no chunk, so the signal counts as foreign.
 */
export const payloadConverter: PayloadConverter = {
  toPayload: (value, context, hint) => defaultPayloadConverter.toPayload(value, context, hint),
  fromPayload<T>(...args: Parameters<typeof defaultPayloadConverter.fromPayload<T>>): T {
    try {
      return defaultPayloadConverter.fromPayload<T>(...args);
    } catch {
      return unreadable(args[0]) as T;
    }
  },
};

function unreadable({ metadata, data }: Payload): { readonly encoding: string; readonly data: Uint8Array } {
  return {
    encoding: String.fromCharCode(...(metadata?.['encoding']?.slice(0, 100) ?? [])),
    // A copy, because bytes from outside the sandbox are not an instance of its Uint8Array.
    data: new Uint8Array(data ?? []),
  };
}
