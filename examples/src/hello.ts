/** The least that runs: a task, a flow that calls it, and a flow run. */
import { flow, task } from '@troupe/core'

const greet = task('greet', (name: string) => `Hello, ${name}!`)

export const hello = flow('hello', async (names: string[]) => {
  const greetings: string[] = []
  for (const name of names) greetings.push(await greet(name))
  return greetings
})

// Calling a flow starts a flow run. No engine is open, so one in memory is made.
const run = hello(['Ada', 'Grace'])

console.log(await run)
console.log(run.state.name)

// Output:
// [ 'Hello, Ada!', 'Hello, Grace!' ]
// Completed
