import type { Benchmark, Case } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'
import { peerVersions } from './peers/install.ts'
import { prepareFor } from './peers/needs.ts'

const measured = (label: string, measure: MeasureName): Case => ({
  label,
  measure,
  params: { n: 7, subscribers: 0, warmupMs: 0, windowMs: 0 },
})

const alone = 'node alone'
const libraries = 'xstate and rxjs, import'
const first = 'troupe: first flow run'
const durable = 'troupe: first flow run, durable'

const own = ['runners', 'sqlite-journal', 'nats-transport', 'web', 'opentelemetry'] as const

/** How long a program takes that does next to nothing. */
export const startUp: Benchmark = {
  name: 'start-up',
  about:
    'from the start of node to its end: imports of the packages, the value of the first flow run; beside imports of the peers',
  durability: 'none',
  prepare: prepareFor,
  groups: () => [
    {
      title: 'start-up',
      cases: [
        measured(alone, 'start-up/node'),
        measured(libraries, 'start-up/xstate-and-rxjs'),
        measured('@troupe/core, import', 'start-up/core'),
        { ...measured(first, 'start-up/first-flow-run'), durability: 'memory' },
        { ...measured(durable, 'start-up/first-durable-flow-run'), durability: 'power' },
        ...own.map((name) => measured(`@troupe/${name}, import`, `start-up/${name}, import`)),
        ...Object.keys(peerVersions()).map((name) => measured(`${name}, import`, `start-up/peer ${name}`)),
      ],
      shown: ['ms', 'cpu ms', 'rss MB'],
      figures: [
        { label: `${first} / ${alone}`, formula: (read) => read(first, 'ms') / read(alone, 'ms') },
        {
          label: `${first}, ms more than ${alone}`,
          formula: (read) => read(first, 'ms') - read(alone, 'ms'),
        },
        {
          label: `${first}, ms more than ${libraries}`,
          formula: (read) => read(first, 'ms') - read(libraries, 'ms'),
        },
      ],
    },
  ],
}
