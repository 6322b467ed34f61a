/**
 * A process dies in the middle of a flow run; an engine over the same journal goes on. Finished task runs are not run
 * again. The one that was running is: a task body runs at least once. Both engines have `strictValues`, so that the second
 * has nothing but what was encoded, as another process would.
 */
import { createEngine, flow, memoryJournal, task } from '@troupe/core'
import { crashingJournal } from '@troupe/core/testing'

const step = task('step', (name: string) => {
  console.log(`  doing: ${name}`)
  return name
})

export const trip = flow('trip', async () => {
  console.log('  the body begins')
  const done: string[] = []
  for (const name of ['pack', 'drive', 'arrive']) done.push(await step(name))
  return done.join(', ')
})

// It outlives the first engine, as a journal on disk outlives a process.
const journal = memoryJournal()

console.log('the first process')
const dying = crashingJournal(journal, { afterEntries: 8 })
const first = createEngine({ journal: dying, strictValues: true })
void first.run(trip)
await dying.death
await first.close()

console.log('the second process')
const second = createEngine({ journal, strictValues: true })
const [run] = await second.recover()
console.log(await run?.result())
await second.close()

// Output:
// the first process
//   the body begins
//   doing: pack
//   doing: drive
// the second process
//   the body begins
//   doing: drive
//   doing: arrive
// pack, drive, arrive
