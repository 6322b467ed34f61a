/** Bodies that do not stop by themselves, in all the ways there are, and some that do. */
import { setTimeout as delay } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'
import { currentTaskRun, sleep, task } from '@troupe/core'
import { trace, waitsForGate } from './crashes.ts'

function told(): void {
  currentTaskRun().progress(0, `attempt ${currentTaskRun().attempt}`)
}

/** What a body does for ever. */
const ways: Readonly<Record<string, () => unknown>> = {
  'a busy loop': () => {
    for (;;);
  },
  'a runaway expression': () => /^(a+)+$/.test(`${'a'.repeat(60)}b`),
  'a wait for shared memory': () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
  'a loop of promises': async () => {
    for (;;) await Promise.resolve()
  },
  'a loop of timers': async () => {
    for (;;) await delay(1)
  },
  'a promise that nobody keeps': () => new Promise<never>((_, reject) => setTimeout(reject, 2 ** 30)),
  'a busy loop after a wait': async () => {
    await delay(1)
    for (;;);
  },
  'a busy loop in its signal': () => {
    const { signal } = currentTaskRun()
    return new Promise(() => {
      signal.addEventListener('abort', () => {
        for (;;);
      })
    })
  },
}
export const waysToGoOn = Object.keys(ways)

/** Goes on for ever at its first attempts. */
export const goesOn = task('stops/goes-on', (way: string, times: number, file: string): unknown => {
  const { attempt } = currentTaskRun()
  trace(file, `attempt ${attempt}`)
  told()
  return attempt <= times ? ways[way]?.() : attempt
})

/** Bodies that heed their signal, each in its way. */
const heeds: Readonly<Record<string, () => Promise<unknown>>> = {
  'sleeps in Troupe': () => sleep('10m'),
  'hands its signal on': () => delay(600_000, undefined, { signal: currentTaskRun().signal }),
  'looks at its signal': async () => {
    const { signal } = currentTaskRun()
    while (!signal.aborted) await delay(1)
    signal.throwIfAborted()
  },
  'returns a value when it is told': () => {
    const { signal } = currentTaskRun()
    return new Promise((resolve) =>
      signal.addEventListener('abort', () => resolve('all the same'), { once: true }),
    )
  },
}
export const waysToHeed = Object.keys(heeds)

export const heedsSignal = task('stops/heeds-signal', (way: string): unknown => {
  told()
  return heeds[way]?.()
})

/** Takes so long in one go, and then ends. */
export const endsLate = task('stops/ends-late', (ms: number): number => {
  told()
  const until = performance.now() + ms
  while (performance.now() < until);
  return threadId
})

export const thread = task('stops/thread', (): number => threadId)

/** Waits for a child that goes on. */
export const waitsForBusy = task('stops/waits-for-busy', async (file: string): Promise<unknown> => {
  told()
  return goesOn.with({ grace: 0 })('a busy loop', 9, file)
})

/** Is busy itself while its child waits for a gate. */
export const busyBesideChild = task(
  'stops/busy-beside-child',
  async (file: string, gate: string): Promise<void> => {
    const child = waitsForGate.with({ grace: 0 })(file, 'child', gate)
    while (child.state.name !== 'Running') await delay(1)
    told()
    for (;;);
  },
)

export const mark = task('stops/mark', (file: string, name: string): string => {
  trace(file, name)
  return name
})

/** Takes so long in one go, after it left its trace. */
export const markSlowly = task('stops/mark-slowly', (file: string, name: string, ms: number): string => {
  trace(file, name)
  const until = performance.now() + ms
  while (performance.now() < until);
  return name
})
