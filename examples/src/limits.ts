/** At most two at once, at most so many in a time, who goes first, and what need not run again. */
import { createEngine, flow, inputs, sleep, task } from '@troupe/core'

const engine = createEngine({
  limits: [
    { tag: 'db', concurrency: 2 },
    { task: 'send', rate: { count: 2, per: '50ms' } },
  ],
})

let open = 0
let most = 0

const query = task({ name: 'query', tags: ['db'], cache: inputs() }, async (table: string) => {
  most = Math.max(most, ++open)
  await sleep('10ms')
  open--
  return table.length
})

const sent: string[] = []
const send = task('send', (to: string) => void sent.push(to))

export const report = flow('report', async () => {
  // Of equal calls at once one runs; the others get its result.
  const sizes = await Promise.all(query.map(['users', 'users', 'orders', 'items', 'users']))
  const mails = ['ann', 'bob', 'cy'].map((name) => send(name))
  mails.push(send.with({ priority: 1 })('the boss'))
  await Promise.all(mails)
  return sizes
})

const run = engine.run(report)
console.log('sizes:', await run, 'at most', most, 'at once')
console.log('sent to:', sent.join(', '))

const histories = new Map<string, string[]>()
for await (const { task: name, runName, to } of engine.watch({ flowRunId: run.id })) {
  if (name === 'query') histories.set(runName, [...(histories.get(runName) ?? []), to.name])
}
for (const [name, states] of histories) console.log(`${name}: ${states.slice(1).join(', ')}`)
await engine.close()

// Output:
// sizes: [ 5, 5, 6, 5, 5 ] at most 2 at once
// sent to: ann, bob, the boss, cy
// query-1: Running, Completed
// query-2: Cached
// query-3: Running, Completed
// query-4: AwaitingConcurrencySlot, Running, Completed
// query-5: Cached
