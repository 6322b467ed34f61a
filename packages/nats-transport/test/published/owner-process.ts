/** A node that owns flow runs and publishes durably, until it is killed. */
import { createEngine, flow, sleep, task } from '@troupe/core'
import { natsTransport } from '../../src/index.ts'
import type { OwnerOrder } from './owner.ts'

const { url, namespace, node } = JSON.parse(process.argv[2] ?? '') as OwnerOrder
const step = task('step', async (n: number) => {
  await sleep(n % 3)
  return n
})
const steps = flow('steps', async (n: number) => {
  await Promise.all([step(n), step(n + 1)])
  return step(n + 2)
})
const transport = natsTransport({ servers: url, namespace, publish: { durable: true } })
const engine = createEngine({ node, transport, serve: { flows: [steps] } })
await engine.announced()
let rests = false
process.on('message', (message: unknown) => {
  rests = true
  if (message !== 'close') return
  void engine.close({ grace: '10s' }).then(() => process.disconnect())
})
process.send?.('ready')
let started = 0
const again = (): void => {
  if (rests) return
  void engine.run(steps, started++).then(
    () => {
      process.send?.('done')
      again()
    },
    () => undefined,
  )
}
for (let lane = 0; lane < 4; lane++) again()
