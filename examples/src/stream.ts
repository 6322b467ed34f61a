/** The stream: every change of state is a transition, and RxJS operators apply to transitions. */
import { flow, task, type Transition } from '@troupe/core'
import { filter, groupBy, lastValueFrom, map, mergeMap, scan, tap, toArray } from 'rxjs'

const read = task('read', async (file: string) => file.length)
const add = task('add', (numbers: number[]) => numbers.reduce((a, b) => a + b, 0))
export const total = flow('total', (files: string[]) => add(read.map(files)))

/** How many task runs wait, run, and are done. */
type Counts = Record<'waiting' | 'running' | 'done', number>

const stages = { PENDING: 'waiting', RUNNING: 'running', COMPLETED: 'done' } as const
const stageOf = ({ type }: Transition['to']) => stages[type as keyof typeof stages]

const count = (counts: Counts, { from, to }: Pick<Transition, 'from' | 'to'>): Counts => {
  const next = { ...counts, [stageOf(to)]: counts[stageOf(to)] + 1 }
  if (from !== null) next[stageOf(from)]--
  return next
}

const run = total(['a.txt', 'b.txt'])

// What was, then what comes; it completes when the run has ended.
const progress = run.transitions.pipe(
  filter(({ kind }) => kind === 'task'),
  scan(count, { waiting: 0, running: 0, done: 0 }),
  tap(({ waiting, running, done }) => console.log(`${waiting} waiting, ${running} running, ${done} done`)),
)
await lastValueFrom(progress)

// A second subscription begins with the first transition again.
const histories = run.transitions.pipe(
  groupBy(({ runName }) => runName),
  mergeMap((transitions) =>
    transitions.pipe(
      map(({ to }) => to.name),
      toArray(),
      map((names) => `${transitions.key}: ${names.join(' → ')}`),
    ),
  ),
  toArray(),
)
console.log((await lastValueFrom(histories)).join('\n'))

// Output:
// 1 waiting, 0 running, 0 done
// 2 waiting, 0 running, 0 done
// 3 waiting, 0 running, 0 done
// 2 waiting, 1 running, 0 done
// 1 waiting, 2 running, 0 done
// 1 waiting, 1 running, 1 done
// 1 waiting, 0 running, 2 done
// 0 waiting, 1 running, 2 done
// 0 waiting, 0 running, 3 done
// total: Pending → Running → Completed
// read-1: Pending → Running → Completed
// read-2: Pending → Running → Completed
// add-3: Pending → Running → Completed
