/** Back-off, time limits, a server that says when to come back, an error that is not worth another attempt, and hooks. */
import { abort, createEngine, currentTaskRun, exponentialBackoff, flow, retryAfter, task } from '@troupe/core'
import { setTimeout as delay } from 'node:timers/promises'

/** What the server does, request by request. */
const script: Record<string, (() => unknown)[]> = {
  '/stock': [() => fail(new Error('503')), () => fail(new Error('503')), () => 7],
  '/price': [() => delay(60_000, 0, { signal: currentTaskRun().signal }), () => 12],
  '/tax': [() => fail(retryAfter('20ms', new Error('429'))), () => 2],
  '/gift': [() => fail(abort(new Error('404')))],
}

function fail(error: Error): never {
  throw error
}

const get = task(
  {
    name: 'get',
    runName: 'GET {0}',
    retries: 3,
    retryDelay: exponentialBackoff('5ms', { max: '1s' }),
    retryJitter: 0.2,
    timeout: '100ms',
    onFailure: ({ transition, error }) => console.log(`gave up on ${transition.runName}:`, String(error)),
  },
  (path: string) => script[path]?.shift()?.() as Promise<number>,
)

const quote = flow('quote', async () => {
  const [stock, price, tax] = await Promise.all([get('/stock'), get('/price'), get('/tax')])
  const gift = await get('/gift').catch(() => 0)
  return `${stock} in stock at ${price * tax}, gifts: ${gift}`
})

const engine = createEngine()
const run = engine.run(quote)
console.log(await run)

const histories = new Map<string, string[]>()
for await (const { kind, runName, to } of engine.watch({ flowRunId: run.id })) {
  if (kind === 'task') histories.set(runName, [...(histories.get(runName) ?? []), to.name])
}
for (const [name, states] of histories) console.log(`${name}: ${states.slice(2).join(', ')}`)
await engine.close()

// Output:
// gave up on GET /gift: Error: 404
// 7 in stock at 24, gifts: 0
// GET /stock: AwaitingRetry, Retrying, AwaitingRetry, Retrying, Completed
// GET /price: AwaitingRetry, Retrying, Completed
// GET /tax: AwaitingRetry, Retrying, Completed
// GET /gift: Failed
