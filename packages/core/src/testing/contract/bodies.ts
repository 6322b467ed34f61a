/**
 * The tasks of the contract. They stand in a module of their own, close over nothing, take and give values only, and
 * leave their traces in files: so the very same bodies run in this process, on threads and on other machines.
 */
import { appendFileSync, writeFileSync } from 'node:fs'
import { access } from 'node:fs/promises'
import { RunError } from '../../base/errors.ts'
import { task } from '../../definitions/task.ts'
import { abort, retryAfter } from '../../definitions/retrying.ts'
import { currentFlowRun, currentTaskRun, now, random, sleep, uuid } from '../../runs/context.ts'

/** Adds a line to a file at once: appending is atomic for what is this short. */
function trace(file: string, line: string): void {
  appendFileSync(file, `${line}\n`)
}

export const give = task('contract/give', (value: unknown): unknown => value)

export const giveLater = task('contract/give-later', async (value: unknown, ms: number): Promise<unknown> => {
  await sleep(ms)
  return value
})

export const add = task('contract/add', (numbers: number[]): number => numbers.reduce((sum, n) => sum + n, 0))

export const mark = task('contract/mark', (file: string, name: string): string => {
  trace(file, name)
  return name
})

/** Leaves a line when it begins and one when it ends. */
export const span = task('contract/span', async (file: string, name: string, ms: number): Promise<string> => {
  trace(file, `+${name}`)
  await sleep(ms)
  trace(file, `-${name}`)
  return name
})

/** The canary. */
export const write = task('contract/write', async (file: string, text: string, ms: number): Promise<void> => {
  if (ms > 0) await sleep(ms)
  writeFileSync(file, text)
})

export const fail = task('contract/fail', (message: string): never => {
  throw new TypeError(message, { cause: new RangeError('its cause') })
})

export const failLater = task('contract/fail-later', async (message: string, ms: number): Promise<never> => {
  await sleep(ms)
  throw new RunError('RUN_FAILED', message, { details: { from: 'a body' } })
})

export const throwText = task('contract/throw-text', (): never => {
  throw 'no error'
})

export const nest = task('contract/nest', async (depth: number): Promise<number> => {
  return depth === 0 ? 0 : 1 + (await nest(depth - 1))
})

/** Submits `width` of itself at each of `depth` levels, and waits for all at once. */
export const tree = task('contract/tree', async (width: number, depth: number): Promise<number> => {
  if (depth === 0) return 1
  const branches = Array.from({ length: width }, () => tree(width, depth - 1))
  const counts = await Promise.all(branches)
  return counts.reduce((sum, count) => sum + count, 0)
})

/** Waits for what it submitted. */
export const spanInside = task(
  'contract/span-inside',
  async (file: string, name: string, ms: number): Promise<string> => {
    trace(file, `>${name}`)
    await span(file, name, ms)
    trace(file, `<${name}`)
    return name
  },
)

/** Submits and does not wait. */
export const leaveSpan = task('contract/leave-span', (file: string, name: string, ms: number): string => {
  span(file, name, ms)
  return name
})

/** Goes on without the one that it submitted when `ms` are over, and takes its time then. */
export const impatient = task(
  'contract/impatient',
  async (file: string, ms: number, childMs: number): Promise<string> => {
    await Promise.race([span(file, 'child', childMs), sleep(ms)])
    await span(file, 'next child', ms)
    return 'went on'
  },
)

/** Waits for one run in several places at once. */
export const twice = task('contract/twice', async (file: string, ms: number): Promise<string[]> => {
  const child = span(file, 'child', ms)
  return Promise.all([child, child, child.result()])
})

export const flaky = task('contract/flaky', (file: string, name: string, failures: number): number => {
  const { attempt } = currentTaskRun()
  trace(file, `${name} ${attempt}`)
  if (attempt <= failures) throw new TypeError(`attempt ${attempt} failed`)
  return attempt
})

/** Fails at first, and asks to be tried again after `ms`. */
export const asksForTime = task('contract/asks-for-time', (file: string, ms: number): number => {
  const { attempt } = currentTaskRun()
  trace(file, `attempt ${attempt}`)
  if (attempt === 1) throw retryAfter(ms, new TypeError('busy'))
  return attempt
})

/** Fails, and asks not to be tried again. */
export const givesUp = task('contract/gives-up', (file: string): never => {
  trace(file, 'tried')
  throw abort(new TypeError('in vain'))
})

/** Takes its time at the first attempt only. */
export const slowAtFirst = task(
  'contract/slow-at-first',
  async (file: string, ms: number): Promise<number> => {
    const { attempt } = currentTaskRun()
    trace(file, `+${attempt}`)
    if (attempt === 1) await sleep(ms)
    trace(file, `-${attempt}`)
    return attempt
  },
)

/** Changes its argument, and fails at first. */
export const greedy = task('contract/greedy', (list: number[]): number[] => {
  const { attempt } = currentTaskRun()
  list.push(attempt)
  if (attempt === 1) throw new TypeError('once more')
  return list
})

/** Waits until it is told to stop, and does. */
export const heedful = task('contract/heedful', async (file: string, name: string): Promise<void> => {
  const { signal } = currentTaskRun()
  trace(file, `+${name}`)
  if (!signal.aborted)
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  const code = RunError.is(signal.reason) ? signal.reason.code : 'no reason'
  trace(file, `-${name} ${code}`)
  signal.throwIfAborted()
})

/** Looks at no signal: it ends when there is a file `gate`. */
export const stubborn = task(
  'contract/stubborn',
  async (file: string, name: string, gate: string): Promise<void> => {
    trace(file, `+${name}`)
    let open = false
    while (!open) {
      open = await access(gate).then(
        () => true,
        () => false,
      )
    }
    trace(file, `-${name}`)
  },
)

/** What a body knows of its run. */
export interface Known {
  readonly id: string
  readonly name: string
  readonly flowRunId: string
  readonly flow: string
  readonly attempt: number
  readonly parameters: readonly unknown[]
  readonly tags: readonly string[]
  readonly aborted: boolean
}

function known(): Known {
  const { id, name, flowRunId, attempt, parameters, tags, signal } = currentTaskRun()
  return {
    id,
    name,
    flowRunId,
    flow: currentFlowRun().name,
    attempt,
    parameters,
    tags,
    aborted: signal.aborted,
  }
}

/** What it knows at its beginning, and after it waited for time and for another run. */
export const introspect = task(
  'contract/introspect',
  async (_word: string, _facts: object): Promise<Known[]> => {
    const first = known()
    await Promise.resolve()
    await sleep(1)
    const second = known()
    await give('something')
    return [first, second, known()]
  },
)

export const draw = task('contract/draw', async (ms: number): Promise<[number, number, number, string]> => {
  const before = now()
  await sleep(ms)
  return [before, now(), random(), uuid()]
})
