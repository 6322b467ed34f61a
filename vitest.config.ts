import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'
import { mutantPlugin } from './packages/core/test/races/mutant-plugin.ts'
import { CountReporter } from './scripts/ci-reporter.ts'

/** Each starts a dozen processes and more, and kills them: one file at a time, when all others are done. */
const faults = 'packages/nats-transport/test/faults/**/*.test.ts'

/** Tests on real servers, processes and threads. */
const real = [
  'packages/{chromium,nats-server,nats-transport,opentelemetry,runners,sqlite-journal,web}/{src,test}/**/*.test.ts',
  'examples/test/**/*.test.ts',
  'benchmarks/test/**/*.test.ts',
]
/**
 * They are tried a second time: on a busy machine servers elect, and the system schedules, later than any of their bounds now and then.
 * The run names at its end what passed so; what is named there again and again is a defect.
 */
const retry = 1

/** By default one less than there are cores; but many tests wait for servers, leases and threads. */
const maxWorkers = Math.max(3, availableParallelism() - 1)

export default defineConfig({
  plugins: [mutantPlugin()],
  // Tests run from source: @troupe/* resolves to src by the packages' own export condition. It must stand here and not in
  // `resolve.conditions`. Threads and child processes that a test starts get dist instead, hence the build before. Not `module`,
  // which is for bundlers: what packages offer by it Node may not be able to load.
  ssr: { resolve: { conditions: ['@troupe/source', 'node', 'development|production'] } },
  test: {
    retry: 0,
    // Ten times what the slowest takes by itself: three files at a time start processes, servers and threads on a busy machine.
    testTimeout: 60_000,
    // What a file sets up first may be a child process, or a server to be fetched.
    hookTimeout: 120_000,
    // Worlds of a file of faults at the same time: each has several processes and a server.
    maxConcurrency: 4,
    reporters: ['default', new CountReporter()],
    projects: [
      {
        extends: true,
        test: {
          name: 'tests',
          include: ['packages/*/test/**/*.test.ts', 'packages/*/src/**/*.test.ts'],
          exclude: ['**/node_modules/**', ...real],
          maxWorkers,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: 'real',
          include: real,
          exclude: ['**/node_modules/**', faults],
          retry,
          maxWorkers,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: { name: 'faults', include: [faults], retry, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
})
