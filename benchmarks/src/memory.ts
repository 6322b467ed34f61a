import type { Benchmark, Case } from './lib/benchmark.ts'
import type { MeasureName } from './lib/catalogue.ts'

const measured = (label: string, measure: MeasureName): Case => ({
  label,
  measure,
  params: { n: 100_000, subscribers: 0, warmupMs: 0, windowMs: 0 },
})

const finished = 'finished task run'
const waiting = 'waiting task run'
/** Of these three only this one has an actor: it is made when the body begins, and let go when the run has ended. */
const running = 'running task run'

/** The aim: bytes per finished and per waiting run. */
export const memory: Benchmark = {
  name: 'memory',
  durability: 'memory',
  about: 'bytes per task run and per flow run after garbage collection, history kept in memory',
  groups: () => [
    {
      title: 'memory',
      cases: [
        measured('bare actor in Pending', 'bare/pending-bytes'),
        measured(finished, 'memory/finished'),
        measured(waiting, 'memory/waiting'),
        measured(running, 'memory/running'),
        measured('finished flow run', 'memory/finished-flows'),
        measured('live flow run', 'memory/live-flows'),
      ],
      shown: ['B/run', 'B/run, flow run alive'],
      figures: [
        { label: finished, formula: (read) => read(finished, 'B/run'), target: { atMost: 600 } },
        { label: waiting, formula: (read) => read(waiting, 'B/run'), target: { atMost: 800 } },
        {
          label: `${running} / bare actor`,
          formula: (read) => read(running, 'B/run') / read('bare actor in Pending', 'B/run'),
        },
      ],
    },
  ],
}
