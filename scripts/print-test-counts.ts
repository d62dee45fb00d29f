import { readFileSync } from 'node:fs'

/** What this script reads of the report that Vitest writes (its `json` reporter). */
interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[]
  }[]
}

/**
 * Prints the counts of a test report on a line of their own, last. Exits with 1 if a test failed or none ran. A
 * test that lacks a tool fails by itself where CI=true; what was left out for another reason is told by name.
 */
const [file = 'coverage/test-results.json'] = process.argv.slice(2)
const report = JSON.parse(readFileSync(file, 'utf8')) as Report
const unfinished = report.testResults.filter(
  ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
)
const leftOut = report.testResults.flatMap(({ assertionResults }) =>
  assertionResults.filter(({ status }) => status !== 'passed' && status !== 'failed'),
)
for (const { name } of unfinished) console.log(`Did not load: ${name}`)
for (const { fullName } of leftOut) console.log(`Left out: ${fullName}`)
const failed = report.numFailedTests + unfinished.length
if (failed > 0 || report.numPassedTests === 0) process.exitCode = 1
console.log(`${report.numPassedTests} passed, ${failed} failed, ${leftOut.length} skipped`)
