import { wrapped } from '../lib/readme-table.ts'
import { validate } from './check.ts'
import { fitted, type Stored } from './model.ts'
import { endsOf, plan, type Demand } from './plan.ts'
import { Results } from './results.ts'
import {
  checkTable,
  costTable,
  endTable,
  flowRunTable,
  followed,
  idleTable,
  planTable,
  restTable,
  serviceTable,
  sizeTable,
  waitTable,
} from './tables.ts'
import { example, forgetting, looks, threeServersTable } from './sentences.ts'
import { waits } from './waits.ts'

/** The stored results of this repository. */
export const stored = (): Stored => ({ nats: new Results('nats'), counts: new Results('counts') })

/** What the tables of days are for. */
const usual: Omit<Demand, 'taskRunsPerDay'> = {
  length: 10,
  shape: 'narrow',
  bodyCpu: 0,
  keptDays: 1,
  peak: 3,
  replicas: 3,
}

const days = [1e6, 1e7, 1e8, 1e9] as const
const dayTitle = (taskRuns: number): string => `10^${Math.round(Math.log10(taskRuns))} a day`

/** All that docs/scale.md has of stored results, by the name of its place. */
export function parts(from: Stored): Readonly<Record<string, string>> {
  const service = fitted(from)
  const at = (demand: Demand) => plan(from, service, demand)
  const shapes: readonly (readonly [string, Pick<Demand, 'shape' | 'length'>])[] = [
    ['flow runs of 10, one after the other', { length: 10, shape: 'narrow' }],
    ['of 100, one after the other', { length: 100, shape: 'narrow' }],
    ['of 1,000, 200 in flight', { length: 1_000, shape: 'wide' }],
    ['of 10,000, 200 in flight', { length: 10_000, shape: 'wide' }],
  ]
  return {
    measured: wrapped(`${from.nats.origin}; ${from.counts.origin}.`),
    costs: costTable(from),
    sizes: sizeTable(from),
    'flow-runs': flowRunTable(from),
    follow: followed(from),
    rest: restTable(from),
    idle: idleTable(from),
    looks: looks(from),
    forget: forgetting(from),
    three: threeServersTable(from),
    example: example(from, service),
    service: serviceTable(service),
    check: checkTable(validate(from, service)),
    waits: waitTable(waits(service)),
    ends: endTable(shapes.map(([title, one]) => [title, endsOf(from, service, one)])),
    days: planTable(
      days.map((taskRunsPerDay) => [dayTitle(taskRunsPerDay), at({ ...usual, taskRunsPerDay })]),
    ),
    shapes: planTable(
      shapes.map(([title, other]) => [title, at({ ...usual, taskRunsPerDay: 1e9, ...other })]),
    ),
  }
}
