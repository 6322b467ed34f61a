/** Bodies that ask who they are, and use what a run gives them. */
import { EventEmitter } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { isMainThread } from 'node:worker_threads'
import {
  bindRun,
  currentFlowRun,
  currentTaskRun,
  isTaskThread,
  now,
  random,
  sleep,
  task,
  TroupeError,
  uuid,
  type CurrentRun,
} from '@troupe/core'
import { trace } from './crashes.ts'

/** What is found where no body is executing. */
export const outside: readonly string[] = [
  () => currentTaskRun(),
  () => currentFlowRun(),
  () => now(),
  () => uuid(),
  () => random(),
  () => sleep(1),
  () => bindRun(() => 1),
].map((fn) => codeOf(fn))

function codeOf(fn: () => unknown): string {
  try {
    fn()
  } catch (error) {
    return TroupeError.is(error) ? error.code : String(error)
  }
  return 'no error'
}

async function codeLater(fn: () => unknown): Promise<string> {
  try {
    await fn()
  } catch (error) {
    return TroupeError.is(error) ? error.code : String(error)
  }
  return 'no error'
}

export const outsideOf = task('context/outside', (): readonly string[] => outside)

function tell({ id, name, runName, flowRunId, attempt, parameters, tags, signal }: CurrentRun) {
  return { id, name, runName, flowRunId, attempt, parameters, tags, aborted: signal.aborted }
}

export const about = task('context/about', (..._args: unknown[]) => ({
  task: tell(currentTaskRun()),
  flow: tell(currentFlowRun()),
}))

export const nestedAbout = task('context/nested-about', async (word: string) => [
  tell(currentTaskRun()),
  (await about(word)) as unknown,
])

export const aboutFlow = task('context/about-flow', (): unknown => {
  const { id, name } = currentFlowRun()
  return { id, name, parameters: codeOf(() => currentFlowRun().parameters) }
})

export const where = task('context/where', () => ({ main: isMainThread, thread: isTaskThread() }))

export const sameSignal = task('context/same-signal', (): boolean => {
  const { signal } = currentTaskRun()
  return signal === currentTaskRun().signal
})

/** Each of many bodies asks again and again, with all kinds of waits between. */
export const keepsAsking = task('context/keeps-asking', async (name: string): Promise<boolean> => {
  const { id } = currentTaskRun()
  for (let i = 0; i < 5; i++) {
    await sleep(1)
    await delay(1)
    await new Promise((resolve) => setImmediate(resolve))
    await Promise.resolve()
    const { id: found, parameters } = currentTaskRun()
    if (found !== id || parameters[0] !== name) return false
  }
  return true
})

export const draws = task('context/draws', async (count: number): Promise<unknown[]> => {
  const drawn: unknown[] = []
  for (let i = 0; i < count; i++) {
    drawn.push(now(), random(), uuid())
    if (i % 2 === 0) await Promise.resolve()
  }
  return drawn
})

export const sleeps = task('context/sleeps', async (): Promise<unknown> => {
  const woken: string[] = []
  const before = now()
  await Promise.all(
    ([30, '5ms', 0, '20ms'] as const).map(async (duration) => {
      await sleep(duration)
      woken.push(String(duration))
    }),
  )
  return {
    woken,
    slept: now() - before,
    bad: [codeOf(() => sleep('soon' as never)), codeOf(() => sleep(-1))],
  }
})

export const logs = task('context/logs', async (count: number): Promise<void> => {
  const { logger } = currentTaskRun()
  const levels = ['debug', 'info', 'warn', 'error'] as const
  for (let i = 0; i < count; i++) {
    logger[levels[i % 4] ?? 'info']({ i }, `line ${i}`)
    if (i % 10 === 0) await Promise.resolve()
  }
})

export const logsForms = task('context/logs-forms', (): void => {
  const { logger } = currentTaskRun()
  logger.info('only a text')
  logger.info({ only: 'fields' })
  logger.info({ both: [new Date(0), new Map([['k', 1n]])] }, 'and a text')
  currentFlowRun().logger.warn({ of: 'the flow' }, 'by a task')
})

class Plain {
  readonly x = 1
}

export const logsOddities = task('context/logs-oddities', (): void => {
  const { logger } = currentTaskRun()
  const round: Record<string, unknown> = { name: 'round' }
  round['self'] = round
  const err = Object.assign(new RangeError('logged'), { fn: () => 1, round })
  logger.info({ kept: 1, fn: function named() {}, sign: Symbol('s'), plain: new Plain(), round }, 'odd')
  logger.error({ err, promise: Promise.resolve(1), shared: new SharedArrayBuffer(4) }, 'odder')
})

/** A listener outlives nothing: it belongs to the body that bound it. */
const emitter = new EventEmitter()

export const listens = task('context/listens', async (event: string): Promise<string[]> => {
  const heard: string[] = []
  emitter.on(event, () => heard.push(currentTaskRun().runName))
  emitter.on(
    event,
    bindRun((word: string) => heard.push(`${currentTaskRun().runName} ${word}`)),
  )
  currentTaskRun().progress(0, 'listening')
  await new Promise((resolve) => emitter.once(`${event} is over`, resolve))
  emitter.removeAllListeners(event)
  return heard
})

export const emits = task('context/emits', (event: string): string => {
  emitter.emit(event, 'word')
  emitter.emit(`${event} is over`)
  return currentTaskRun().runName
})

/** Leaves a listener behind, which acts for it when it has ended. */
export const leavesListener = task('context/leaves-listener', (event: string): string => {
  const act = bindRun(async () => ({
    run: currentTaskRun().runName,
    call: codeOf(() => where()),
    sleep: await codeLater(() => sleep(1)),
    now: codeOf(() => now()),
    flow: codeOf(() => currentFlowRun().id),
  }))
  emitter.on(event, (found: unknown[]) => found.push(act()))
  return currentTaskRun().runName
})

export const collects = task('context/collects', async (event: string): Promise<unknown[]> => {
  const found: unknown[] = []
  emitter.emit(event, found)
  emitter.removeAllListeners(event)
  return Promise.all(found)
})

/** Waits to be told to stop, and tries what may still be done. */
export const stopping = task('context/stopping', async (file: string): Promise<void> => {
  const { signal } = currentTaskRun()
  const slept = codeLater(() => sleep('10m'))
  currentTaskRun().progress(0, 'there')
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  const reason: unknown = signal.reason
  trace(file, `reason ${TroupeError.is(reason) ? reason.code : String(reason)}`)
  trace(file, `sleep ${await slept}`)
  trace(file, `call ${codeOf(() => where())}`)
  trace(file, `another sleep ${await codeLater(() => sleep(1))}`)
  trace(file, `cleanup ${await codeLater(async () => cleansUp.with({ cleanup: true })(file))}`)
})

export const cleansUp = task('context/cleans-up', (file: string): void => trace(file, 'cleaned up'))

export const attempts = task('context/attempts', (): unknown => {
  const { attempt } = currentTaskRun()
  if (attempt < 3) throw new TypeError('again')
  return attempt
})

type Checked =
  | { readonly value: [unknown] }
  | { readonly issues: readonly { readonly message: string; readonly path: readonly number[] }[] }

/** A schema by hand: a list of one text, of which it makes a number. */
const numbers: {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => Checked
    readonly types?: { readonly input: [unknown]; readonly output: [unknown] } | undefined
  }
} = {
  '~standard': {
    version: 1,
    vendor: 'by hand',
    validate: (value) => {
      const [text] = value as unknown[]
      if (typeof text !== 'string') return { issues: [{ message: 'no text', path: [0] }] }
      return { value: text === 'odd' ? [() => 1] : [Number(text)] }
    },
  },
}

export const checked = task({ name: 'context/checked', parameters: numbers }, (n: unknown): unknown => n)
