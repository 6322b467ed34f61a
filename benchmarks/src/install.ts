import type { Benchmark, Case } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'
import { peerVersions } from './peers/install.ts'
import { prepareFor } from './peers/needs.ts'

const measured = (label: string, measure: MeasureName): Case => ({
  label,
  measure,
  params: { n: 1, subscribers: 0, warmupMs: 0, windowMs: 0 },
})

const own = ['core', 'runners', 'sqlite-journal', 'nats-transport', 'web', 'opentelemetry'] as const

/** What comes with each package: nothing that varies, so that once is enough. */
export const install: Benchmark = {
  name: 'install',
  about: 'packages and megabytes that come with each package into an empty folder, beside the peers',
  durability: 'none',
  rounds: 1,
  needsRegistry: true,
  prepare: prepareFor,
  groups: () => [
    {
      title: 'install',
      cases: [
        ...own.map((name) => measured(`@troupe/${name}`, `install/${name}`)),
        ...Object.keys(peerVersions()).map((name) => measured(name, `install/peer ${name}`)),
      ],
      shown: ['packages', 'MB', 'MB of its own', 'kB packed'],
      figures: [],
    },
  ],
}
