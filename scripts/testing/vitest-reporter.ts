import { writeFileSync } from 'node:fs';
import path from 'node:path';

import type { SerializedError } from 'vitest';
import type { Reporter, TestCase, TestModule, TestSuite, Vitest } from 'vitest/node';

import type { Failure, Outcomes, Skip } from './report.js';

/** What vitest's own JSON lacks: why a test was skipped, and what fails beside the tests (hooks, files, promises that nobody awaits). */
class OutcomeReporter implements Reporter {
  #file: string | undefined;

  onInit({ config: { outputFile } }: Vitest): void {
    this.#file = typeof outputFile === 'object' ? outputFile['outcomes'] : undefined;
    if (this.#file === undefined) throw new Error('--outputFile.outcomes must say where the report goes');
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    writeFileSync(this.#file!, JSON.stringify(outcomesOf(modules, unhandledErrors)));
  }
}

// The one that vitest looks for in a file that --reporter names.
export default OutcomeReporter;

function outcomesOf(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): Outcomes {
  const failures: Failure[] = [];
  const skips: Skip[] = [];
  let passed = 0;
  for (const module of modules) {
    for (const place of [module, ...module.children.allSuites()]) failures.push(...besideTests(module, place));
    for (const test of module.children.allTests()) {
      const result = test.result();
      if (result.state === 'passed') passed++;
      else if (result.state === 'skipped') skips.push(skipOf(module, test, result.note));
      // 'pending': the run ended before it did.
      else failures.push(failureOf(nameOf(module, test), result.errors?.[0] ?? { message: 'it did not end' }));
    }
  }
  return {
    passed,
    failures: [...failures, ...unhandledErrors.map((error) => failureOf('unhandled error', error))],
    skips,
  };
}

/** Failures of a file or suite itself: it could not be loaded, or a hook failed. */
function besideTests(module: TestModule, place: TestModule | TestSuite): Failure[] {
  return place.errors().map((error) => failureOf(nameOf(module, place), error));
}

function failureOf(name: string, { message }: Pick<SerializedError, 'message'>): Failure {
  return { name, detail: message.split('\n', 1)[0]! };
}

function nameOf(module: TestModule, place: TestModule | TestSuite | TestCase): string {
  return place.type === 'module' ? module.relativeModuleId : `${module.relativeModuleId} > ${place.fullName}`;
}

/** Reasons are counted together; without one, every test is named. */
function skipOf(module: TestModule, { fullName }: TestCase, note: string | undefined): Skip {
  const where = path.basename(module.relativeModuleId).replace(/\.test\.ts$/, '');
  return { reason: note ?? `no reason was given for “${fullName}”`, where };
}
