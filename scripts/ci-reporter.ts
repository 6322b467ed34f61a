import type { Reporter, SerializedError, TestModule } from 'vitest/node'

/**
 * Closes the output of a test run with one plain line, `N passed, N failed`, with `, N skipped` behind it where tests were
 * skipped. `.ci/run` reads it. Before it stand the tests that passed
 * only when they were tried again, each on a line.
 *
 * A file that could not be loaded counts as one failure, and so does an error outside of any test. The line is written as
 * the process exits, after everything else that vitest has to say.
 */
export class CountReporter implements Reporter {
  #line: string | undefined
  readonly #again: string[] = []

  onInit(): void {
    process.once('exit', () => {
      if (this.#line === undefined) return
      const again = this.#again.map((name) => `passed only when tried again: ${name}\n`)
      process.stdout.write(`${again.join('')}${this.#line}\n`)
    })
  }

  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const counts = { passed: 0, failed: errors.length, skipped: 0, pending: 0 }
    for (const module of modules) {
      const failedBefore = counts.failed
      for (const test of module.children.allTests()) {
        counts[test.result().state] += 1
        if (test.diagnostic()?.flaky === true)
          this.#again.push(`${module.relativeModuleId} > ${test.fullName}`)
      }
      if (module.state() === 'failed' && counts.failed === failedBefore) counts.failed += 1
    }
    // A test still pending at the end was cut off: never a success.
    const failed = counts.failed + counts.pending
    this.#line = `${counts.passed} passed, ${failed} failed${counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''}`
  }
}
