/*
 * Switches off what the SDK does at each promise of a workflow: it makes a stack trace, for the query `__stack_trace`.
 * That took a quarter of the time of the thread of workflows (measured at 100 records/s). There is no option for it.
 *
 * The SDK reaches into a workflow by `promise.constructor.constructor`, which is `Function`, with these two texts. An
 * `Error` that makes no trace ends its work. It also asks in this way which run has an unhandled rejection.
 *
 * Source: `setPromiseHook` and `setUnhandledRejectionHandler` in @temporalio/worker/lib/workflow/vm-shared.js.
 *
 * To be loaded before the SDK freezes the globals (`preloadModules` of its bundler).
 */

const ANSWERS: Readonly<Record<string, () => unknown>> = {
  'return globalThis.Error': () => Object,
  'return globalThis.__TEMPORAL_ACTIVATOR__': () => (globalThis as Record<string, unknown>)['__TEMPORAL_ACTIVATOR__'],
};

Object.defineProperty(Promise, 'constructor', {
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- what `Promise.constructor` does
  value: (text: string): unknown => ANSWERS[text] ?? Function(text),
});

export {};
