// A reporter of vitest's: the last lines of a run name each test that failed, or passed at a later try only, and count them all.
import { relative } from 'node:path';

export default class Summary {
  onTestRunEnd(modules, unhandledErrors) {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    const lines = [];
    for (const module of modules) {
      const file = `${module.project.name}: ${relative(process.cwd(), module.moduleId)}`;
      for (const test of module.children.allTests()) {
        const { state, errors } = test.result();
        if (state in counts) counts[state] += 1;
        if (state === 'failed') lines.push(`FAILED ${file} > ${test.fullName}: ${firstLine(errors[0])}`);
        if (test.diagnostic()?.flaky)
          lines.push(`PASSED ONLY AT A LATER TRY ${file} > ${test.fullName}: ${firstLine(errors[0])}`);
      }
      // What fails outside a test, such as a file that cannot be loaded or a hook.
      for (const error of failuresOutside(module)) lines.push(`FAILED ${file}: ${firstLine(error)}`);
    }
    for (const error of unhandledErrors) lines.push(`FAILED outside of all tests: ${firstLine(error)}`);
    lines.push(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
    console.log(`\n${lines.join('\n')}`);
  }
}

function failuresOutside(module) {
  return [module, ...module.children.allSuites()].flatMap((part) => part.errors());
}

function firstLine(error) {
  return String(error?.message ?? 'without a message').split('\n')[0];
}
