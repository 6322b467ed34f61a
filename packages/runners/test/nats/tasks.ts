/** Tasks of the tests: all nodes of a test are in one process, so bodies can be watched and held. */
import { currentTaskRun, RunError, sleep, task, uuid } from '@troupe/core'

/** What bodies did, by the name that they were called with, in order. */
const traces = new Map<string, string[]>()
const gates = new Map<string, { readonly opened: Promise<void>; readonly open: () => void }>()

/** What bodies of that name did. */
export function traceOf(name: string): string[] {
  let trace = traces.get(name)
  if (trace === undefined) traces.set(name, (trace = []))
  return trace
}

function gateOf(name: string): { readonly opened: Promise<void>; readonly open: () => void } {
  let gate = gates.get(name)
  if (gate === undefined) {
    let open = (): void => undefined
    const opened = new Promise<void>((resolve) => (open = resolve))
    gates.set(name, (gate = { opened, open: () => open() }))
  }
  return gate
}

/** Lets bodies of that name end. */
export function open(name: string): void {
  gateOf(name).open()
}

function untilStopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** Waits until it may end, or is told to stop. Gives its attempt. */
export const held = task('remote/held', async (name: string): Promise<number> => {
  const { signal, attempt } = currentTaskRun()
  traceOf(name).push(`+${attempt}`)
  await Promise.race([gateOf(name).opened, untilStopped(signal)])
  const why = RunError.is(signal.reason) ? signal.reason.code : 'done'
  traceOf(name).push(`-${attempt} ${why}`)
  return attempt
})

/** Ends at once. */
export const noted = task('remote/noted', (name: string, value: number): number => {
  traceOf(name).push(`${value}`)
  return value
})

/** Throws in its first attempts. Gives the attempt that does not. */
export const failing = task('remote/failing', (name: string, times: number): number => {
  const { attempt } = currentTaskRun()
  traceOf(name).push(`${attempt}`)
  if (attempt <= times) throw new RangeError(`attempt ${attempt} fails`)
  return attempt
})

/** Takes its time. */
export const slow = task('remote/slow', async (name: string, value: number, ms: number): Promise<number> => {
  traceOf(name).push(`+${value}`)
  await sleep(ms)
  traceOf(name).push(`-${value}`)
  return value
})

/** Draws, submits, and waits until it may end. */
export const parent = task('remote/parent', async (name: string): Promise<string[]> => {
  const { attempt } = currentTaskRun()
  const drawn = uuid()
  const child = noted(`${name} child`, 1)
  traceOf(name).push(`${attempt} ${drawn} ${child.id}`)
  await child
  await held(`${name} held`)
  traceOf(name).push(`${attempt} ends`)
  return [drawn, child.id]
})

/** Submits so many others, and gives their values. */
export const parentOf = task(
  'remote/parent-of',
  async (name: string, first: number, count: number): Promise<number[]> => {
    const values: number[] = []
    for (let n = 0; n < count; n++) values.push(await slow.with({ maxRecoveries: 20 })(name, first + n, 300))
    return values
  },
)
