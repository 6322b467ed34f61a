/** Where and when tasks run is the task runner's matter: the flow is the same, the order is not. */
import { flow, sleep, task, type TaskRunner } from '@troupe/core'
import { ConcurrentTaskRunner, SequentialTaskRunner } from '@troupe/runners'

const board = { text: '' }

const slow = task('slow', async () => {
  await sleep('50ms')
  board.text = 'foo'
})

const quick = task('quick', () => {
  board.text = 'bar'
})

export const canary = flow('canary', () => [slow(), quick()])

const runners: Record<string, TaskRunner> = {
  sequential: new SequentialTaskRunner(),
  concurrent: new ConcurrentTaskRunner(),
  'concurrent, at most two at once': new ConcurrentTaskRunner({ limit: 2 }),
}

for (const [name, taskRunner] of Object.entries(runners)) {
  await canary.with({ taskRunner })()
  console.log(`${name}: the last to write was ${board.text}`)
}

// Output:
// sequential: the last to write was bar
// concurrent: the last to write was foo
// concurrent, at most two at once: the last to write was foo
