import { defineConfig } from 'vitest/config'
import { mutantPlugin } from './packages/core/test/races/mutant-plugin.ts'
import { CountReporter } from './scripts/ci-reporter.ts'

export default defineConfig({
  plugins: [mutantPlugin()],
  // Tests run from source: @troupe/* resolves to src by the packages' own export condition. It must stand here and not in
  // `resolve.conditions`. Threads and child processes that a test starts get dist instead, hence the build before. Not `module`,
  // which is for bundlers: what packages offer by it Node may not be able to load.
  ssr: { resolve: { conditions: ['@troupe/source', 'node', 'development|production'] } },
  test: {
    include: [
      'packages/*/test/**/*.test.ts',
      'packages/*/src/**/*.test.ts',
      'examples/test/**/*.test.ts',
      'benchmarks/test/**/*.test.ts',
    ],
    retry: 0,
    testTimeout: 30_000,
    reporters: ['default', new CountReporter()],
  },
})
