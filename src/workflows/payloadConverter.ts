import { defaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';

/**
 * The default converter, except for what that one cannot read: invalid JSON, or an encoding that it does not know. The
 * default one throws, and the workflow task would fail again and again for one signal of a stranger. Here such an
 * argument becomes its encoding and its bytes. They are no chunk, so the signal counts as a stranger's.
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
    // A copy: what comes from outside the sandbox is no instance of its Uint8Array.
    data: new Uint8Array(data ?? []),
  };
}
