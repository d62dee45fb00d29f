import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // The report is read by scripts/print-test-counts.ts.
    reporters: ['default', ['json', { outputFile: 'coverage/test-results.json' }]],
    projects: [
      {
        test: {
          name: 'fast',
          include: ['src/**/*.test.ts', 'test/tidy.test.ts', 'test/contract/**/*.test.ts'],
          testTimeout: 20_000,
          hookTimeout: 20_000,
        },
      },
      {
        // Whole processes, disks and clocks: one file at a time, so that none disturbs another's timing.
        test: {
          name: 'whole',
          include: ['test/flow/**/*.test.ts', 'test/fault/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
