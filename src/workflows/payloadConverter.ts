import { defaultPayloadConverter, type Payload, type PayloadConverter } from '@temporalio/common';

/**
 * As the default converter, but for what that one cannot read: JSON that is none, an encoding that it does not know. It
 * throws there, which would fail the workflow task again and again for one signal of a stranger. Such an argument becomes
 * its encoding and bytes, which are no chunk, so that the signal is taken for what it is.
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
