/**
 * The vitest reporter of `npm test`: sends one message per test file to the process that started vitest, with
 * what it counted and how long the file took, hooks and loading included. Without a parent it is silent.
 */
export default class TestReporter {
  onTestModuleEnd(module) {
    const counts = { passed: 0, failed: 0, skipped: 0 }
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state in counts) counts[state]++
    }
    // A file that cannot be loaded and a suite whose hook fails have no failed test to show for it.
    counts.failed += module.errors().length
    for (const suite of module.children.allSuites()) counts.failed += suite.errors().length
    const spent = module.diagnostic()
    const milliseconds = spent.duration + spent.collectDuration + spent.prepareDuration + spent.setupDuration
    process.send?.({ file: module.relativeModuleId, seconds: milliseconds / 1_000, ...counts })
  }
}
