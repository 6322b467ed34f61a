/** Many task runs at once: `map` submits them, `asCompleted` and `waitAll` see them end. */
import { asCompleted, flow, sleep, task, unmapped, waitAll } from '@troupe/core'

/** Gives the number back, times `factor`, after as many hundredths of a second. */
const scaled = task('scaled', async (n: number, factor: number) => {
  await sleep(n * 10)
  return n * factor
})

export const inOrder = flow('in-order', (numbers: number[]) => scaled.map(numbers, unmapped(10)))

export const asTheyEnd = flow('as-they-end', async (numbers: number[]) => {
  const seen: number[] = []
  for await (const run of asCompleted(scaled.map(numbers, 10))) seen.push(await run.result())
  return seen
})

export const inTime = flow('in-time', async (numbers: number[]) => {
  const { done, pending } = await waitAll(scaled.map(numbers, 10), { timeout: '500ms' })
  for (const late of pending) void late.ignore().cancel('too late')
  return { done: await Promise.all(done), late: pending.length }
})

// The futures that a flow returns stand for their values.
console.log('in the order of the calls:', await inOrder([9, 1, 5]))
console.log('in the order of their ends:', await asTheyEnd([9, 1, 5]))
console.log('in time:', await inTime([1, 5, 60_000]))

// Output:
// in the order of the calls: [ 90, 10, 50 ]
// in the order of their ends: [ 10, 50, 90 ]
// in time: { done: [ 10, 50 ], late: 1 }
