/** Bodies that tell of the thread that they are in. This module leaves a trace when a thread loads it. */
import { isMainThread, resourceLimits, threadId } from 'node:worker_threads'
import { currentTaskRun, task } from '@troupe/core'
import { trace, waitsForGate } from './crashes.ts'

const { TROUPE_TEST_TRACE: file } = process.env
if (!isMainThread && file !== undefined) trace(file, `loaded in ${threadId}`)

export const thread = task('life/thread', (_n?: number): number => threadId)

export const environment = task('life/environment', (...names: string[]): (string | undefined)[] =>
  names.map((name) => process.env[name]),
)

export const limitsOfThread = task('life/limits-of-thread', (): unknown => ({ ...resourceLimits }))

/** Waits for its child, and tells both threads. */
export const twoThreads = task('life/two-threads', async (): Promise<number[]> => {
  const child = await thread()
  return [threadId, child]
})

/** Waits for another one, which waits for another one, and so on. Gives how many they are. */
export const deep = task('life/deep', async (below: number): Promise<number> => {
  if (below === 0) return 1
  return 1 + (await deep(below - 1))
})

export const failsOnce = task('life/fails-once', (): number => {
  if (currentTaskRun().attempt === 1) throw new TypeError('once')
  return threadId
})

/** Waits for its child at a gate. */
export const waitsBelow = task('life/waits-below', async (traces: string, gate: string): Promise<string> =>
  waitsForGate(traces, 'child', gate),
)

export const step = task('life/step', (traces: string, name: string): string => {
  trace(traces, `${name} ${currentTaskRun().attempt}`)
  return name
})
