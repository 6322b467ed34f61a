import type { MeasureName } from './catalogue.ts'

/** Where it stands what is called, and how each side is set up: for each pattern that a measurement has. */
const setUps: readonly (readonly [of: RegExp, sources: readonly string[]])[] = [
  [/^bare\//, ['src/cases/bare.ts', 'src/bare/loops.ts']],
  [/^threads\/.*-bare-/, ['src/cases/threads.ts', 'src/threads/bare-pool.ts']],
  [/^(nats\/|peers\/bullmq)/, ['src/nats/loop-measure.ts']],
  [/^nats\/(official|light)/, ['src/nats/bare.ts']],
  [/^nats\/light/, ['src/nats/light.ts']],
  [/^nats\/troupe/, ['src/nats/troupe.ts']],
  [/^peers\/bullmq/, ['src/nats/bullmq.ts', 'src/peers/redis.ts']],
  [/^peers\/(dbos|openworkflow)/, ['src/cases/peers.ts']],
  [/^peers\/effect/, ['src/cases/effect.ts']],
  [/^peers\/p-queue/, ['src/cases/p-queue.ts']],
  [/^peers\/prefect/, ['peers/prefect/measure.py', 'src/peers/prefect.ts']],
  [/^peers\/(dbos|prefect-postgres)/, ['src/peers/postgres.ts']],
  [/^peers\/temporal/, ['src/cases/temporal.ts', 'src/peers/temporal.ts', 'peers/temporal/workflows.js']],
]

/** The files in which a maintainer finds how it is measured; where no pattern says more, the one that its name begins with. */
export function sourcesOfMeasure(measure: MeasureName): readonly string[] {
  const found = setUps.filter(([of]) => of.test(measure)).flatMap(([, sources]) => sources)
  return found.length > 0 ? found : [`src/cases/${measure.slice(0, measure.indexOf('/'))}.ts`]
}
