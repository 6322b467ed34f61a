/** Flow runs that go through nearly every state there is. */
import { flow, inputs, receive, sleep, task, type Engine, type Transition } from '@troupe/core'

const add = task('add', (a: number, b: number) => a + b)
const cached = task({ name: 'cached', cache: inputs() }, (n: number) => n)
const flaky = task({ name: 'flaky', retries: 2, retryDelay: '1ms' }, (seen: number[]) => {
  throw new Error(`not yet, after ${seen.length}: "why"\n\u{1f40c} \ud800`)
})
const again = task({ name: 'again', retries: 1 }, () => {
  throw new RangeError('at once')
})
const broken = task('broken', () => {
  throw new Error('x'.repeat(20_000))
})
const slow = task({ name: 'slow', timeout: '5ms' }, async () => sleep(60_000))
const odd = task('größe *.> of/日本', () => 1)
const underscore = task('_', () => 1)
const long = task('long'.repeat(40), () => 1)
const child = flow('child.flow', () => odd())

const everything = flow('every > thing *', async () => {
  const failed = broken()
  await Promise.all([
    add(1, 2),
    flaky([]).wait(),
    again().wait(),
    child(),
    underscore(),
    long(),
    cached(1),
    add(failed as unknown as number, 1).wait(),
    slow().wait(),
    failed.wait(),
  ])
  await cached(1)
  add(2, 3).ignore()
})
const waiting = flow({ name: 'waiting', grace: '1s' }, async () => receive('go'))
const stepping = flow('stepping', async () => sleep(60_000))
const failing = flow('failing', () => {
  throw new RangeError('on purpose')
})

/** Runs them on an engine. @returns All transitions, as the engine shows them */
export async function runEverything(engine: Engine): Promise<Transition[]> {
  const transitions: Transition[] = []
  const subscription = engine.transitions.subscribe((transition) => transitions.push(transition))
  const all = [engine.run(everything), engine.run(failing).ignore(), add(1, 1)]
  const paused = engine.run(waiting)
  const cancelled = engine.run(stepping)
  await until(transitions, (one) => one.runId === paused.id && one.to.name === 'Running')
  await paused.pause()
  await paused.resume()
  await paused.signal('go')
  await until(transitions, (one) => one.runId === cancelled.id && one.to.name === 'Running')
  await cancelled.cancel('enough')
  await Promise.all([...all, paused, cancelled].map((run) => run.wait()))
  subscription.unsubscribe()
  return transitions
}

async function until(
  transitions: readonly Transition[],
  isIt: (transition: Transition) => boolean,
): Promise<void> {
  while (!transitions.some(isIt)) await new Promise((resolve) => setImmediate(resolve))
}
