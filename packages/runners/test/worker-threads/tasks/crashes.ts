/** Bodies that end their thread, and what runs beside them. */
import { AsyncResource } from 'node:async_hooks'
import { appendFileSync } from 'node:fs'
import { access } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'
import { currentTaskRun, sleep, task } from '@troupe/core'

/** Adds a line to a file at once. */
export function trace(file: string, line: string): void {
  appendFileSync(file, `${line}\n`)
}

async function opened(gate: string): Promise<void> {
  for (;;) {
    const isOpen = await access(gate).then(
      () => true,
      () => false,
    )
    if (isOpen) return
    await delay(1)
  }
}

const forever = (): Promise<never> => new Promise((_, reject) => setTimeout(reject, 2 ** 30))

/** Calls outside of any run, as the code of a library might that keeps no context. */
const outside = AsyncResource.bind((fn: () => void): void => fn())

/** How a body ends its thread. */
const ways: Readonly<Record<string, () => unknown>> = {
  exit: () => process.exit(1),
  'exit with 0': () => process.exit(0),
  'exit in a timer': () => {
    setTimeout(() => process.exit(3), 1)
    return forever()
  },
  'exit after a wait': async () => {
    await sleep(1)
    process.exit(1)
  },
  'uncaught error in a timer': () => {
    setTimeout(() => {
      throw new RangeError('from a timer', { cause: 'below' })
    }, 1)
    return forever()
  },
  'uncaught error in a tick': () => {
    process.nextTick(() => {
      throw new RangeError('from a tick')
    })
    return forever()
  },
  'uncaught error outside of the run': () => {
    outside(() =>
      setTimeout(() => {
        throw new RangeError('from nowhere')
      }, 1),
    )
    return forever()
  },
  'uncaught text': () => {
    setTimeout(() => {
      throw 'only a text'
    }, 1)
    return forever()
  },
  'unhandled rejection': () => {
    void Promise.reject(new SyntaxError('nobody caught it'))
    return forever()
  },
  'unhandled rejection later': () => {
    setTimeout(() => void Promise.reject(new SyntaxError('nobody caught it')), 1)
    return forever()
  },
  'out of memory': () => {
    const lists: number[][] = []
    for (;;) lists.push(Array.from({ length: 10_000 }, (_, n) => n))
  },
}
export const ends = task('crashes/ends', async (way: string, file?: string): Promise<unknown> => {
  if (file !== undefined) trace(file, `ends ${currentTaskRun().attempt}`)
  return ways[way]?.()
})

/** Ends its thread at its first attempts. */
export const endsAtFirst = task(
  'crashes/ends-at-first',
  (way: string, times: number, file: string): unknown => {
    const { attempt } = currentTaskRun()
    trace(file, `attempt ${attempt}`)
    return attempt <= times ? ways[way]?.() : attempt
  },
)

export const mark = task('crashes/mark', (file: string, name: string): string => {
  trace(file, name)
  return name
})

/** Gives more than what is gathered in shared memory. */
export const markLarge = task('crashes/mark-large', (file: string, name: string): string => {
  trace(file, name)
  return name.padEnd(10_000, '.')
})

/** Says something before it ends. */
export const markAndTell = task('crashes/mark-and-tell', (file: string, name: string): string => {
  trace(file, name)
  currentTaskRun().progress(1, name)
  return name
})

/** Says that it is there, and ends when there is a file `gate`. */
export const waitsForGate = task(
  'crashes/waits-for-gate',
  async (file: string, name: string, gate: string): Promise<string> => {
    trace(file, `${name} ${currentTaskRun().attempt}`)
    currentTaskRun().progress(0, `${name} is there`)
    await opened(gate)
    return name
  },
)

/** Ends its thread when there is a file `gate`, followed by its attempt. */
export const endsAtGate = task(
  'crashes/ends-at-gate',
  async (file: string, gate: string, way: string): Promise<unknown> => {
    trace(file, `culprit ${currentTaskRun().attempt}`)
    currentTaskRun().progress(0, 'culprit is there')
    await opened(`${gate} ${currentTaskRun().attempt}`)
    return ways[way]?.()
  },
)

export const overflow = task('crashes/overflow', (): number => {
  const deeper = (n: number): number => 1 + deeper(n + 1)
  return deeper(0)
})

/** Waits for a child that ends the thread that it runs on. */
export const parentOfEnding = task('crashes/parent-of-ending', async (way: string): Promise<string> => {
  const { name } = await ends(way).wait()
  return name
})

/** Lets the error of its child through. */
export const restsOnEnding = task(
  'crashes/rests-on-ending',
  async (way: string): Promise<string> => `never ${String(await ends(way))}`,
)

/** Ends its thread while it waits for a child, when there is a file `gate`. */
export const endsWhileWaiting = task(
  'crashes/ends-while-waiting',
  async (file: string, gate: string, childGate: string): Promise<void> => {
    trace(file, `parent ${currentTaskRun().attempt}`)
    void opened(gate).then(() => process.exit(1))
    await waitsForGate(file, 'child', childGate)
  },
)

/** Computes for so long, in one go. */
export const spinsOnce = task('crashes/spins-once', (ms: number): number => {
  const until = performance.now() + ms
  while (performance.now() < until);
  return threadId
})

export const thread = task('crashes/thread', (): number => threadId)

/** Has a buffer, and waits at its first attempt. */
export const keepsBuffer = task('crashes/keeps-buffer', async (bytes: Uint8Array): Promise<string> => {
  currentTaskRun().progress(0, 'has it')
  if (currentTaskRun().attempt === 1) await forever()
  return `${bytes.byteLength} ${bytes.at(-1)}`
})

export const sizeOf = task('crashes/size-of', (bytes: Uint8Array): number => bytes.byteLength)
