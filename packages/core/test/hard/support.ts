import type { FlowRun, FlowRunHandle, Journal, Logger } from '@troupe/core'
import type { TestEngine, VirtualClock } from '@troupe/core/testing'
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { rest, type Lives } from '../replay/lives.ts'

/** Takes every line, and keeps none. */
export const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** What `or` gives for a promise that has not settled. */
export const hang = 'HANG'

/** Resolves when virtual time has gone on by `ms`. */
export function later(clock: VirtualClock, ms: number): Promise<void> {
  return new Promise((resolve) => void clock.at(clock.now() + ms, resolve))
}

/** Lets virtual time go on by `ms`, with all that happens meanwhile. */
export function pass(clock: VirtualClock, ms: number): Promise<void> {
  return clock.run(later(clock, ms))
}

/** What a promise gives: its value or `rejected` with the error's code; `hang` after `ms` of virtual time. */
export function or(clock: VirtualClock, promise: PromiseLike<unknown>, ms = 3_600_000): Promise<unknown> {
  const settled = Promise.resolve(promise).catch((error: unknown) => {
    const { code, message } = error as { code?: string; message: string }
    return `rejected ${code ?? message}`
  })
  return clock.run(Promise.race([settled, later(clock, ms).then(() => hang)]))
}

/** How long a journal takes to answer, in milliseconds of virtual time; asked anew each time. */
export interface Delays {
  readonly read?: () => number
  readonly append?: () => number
}

/** A journal that answers late, and never in the same turn. */
export function delayed(
  inner: Journal,
  clock: VirtualClock,
  { read = () => 0, append = () => 0 }: Delays = {},
): Journal {
  const wait = (ms: number): Promise<void> =>
    ms > 0 ? later(clock, ms) : new Promise((resolve) => clock.turn(resolve))
  return {
    encodes: inner.encodes,
    async append(request) {
      await wait(append())
      return inner.append(request)
    },
    async read(flowRunId, from, limit) {
      const entries = await inner.read(flowRunId, from, limit)
      await wait(read())
      return entries
    },
    summary: (flowRunId) => inner.summary(flowRunId),
    list: (query) => inner.list(query),
    delete: (flowRunId) => inner.delete(flowRunId),
    subscribe: (listener) => inner.subscribe(listener),
    close: () => inner.close(),
  }
}

/** `name#seq:state` of each transition, as the journal itself has them. */
export async function rawHistory(journal: Journal, flowRunId: string): Promise<string[]> {
  const names: string[] = []
  const steps: string[] = []
  for (const entry of await journal.read(flowRunId, 1, 1000)) {
    if (entry.kind === 'submitted') {
      names.push(entry.name)
      steps.push(`${entry.name}#1:${entry.to}`)
    }
    if (entry.kind === 'transition') steps.push(`${names[entry.run]}#${entry.seq}:${entry.to}`)
  }
  return steps
}

/** Says that nobody minds how a run ends, or that its engine lets go of it. */
export function abandoned<T>(run: FlowRun<T>): FlowRun<T> {
  run.ignore()
  void run.wait().catch(() => undefined)
  return run
}

/** Runs something in an engine that is closed under it. @returns The id of its flow run. */
export async function cutOff(lives: Lives, start: (engine: TestEngine) => FlowRun<unknown>): Promise<string> {
  const engine = lives.start({ logger: silent })
  const { id } = abandoned(start(engine))
  await rest()
  await engine.close()
  return id
}

/** The first run that an engine recovers. */
export async function recovered(engine: TestEngine): Promise<FlowRunHandle<unknown>> {
  const [run] = await engine.settle(engine.recover())
  if (run === undefined) throw new RangeError('there was nothing to recover')
  return run
}

/** A body that never ends. */
export const forever = (): Promise<void> => new Promise(() => undefined)

/** A schema written by hand, of lists of one argument. */
export function schemaOf<In, Out = In>(
  validate: (args: [In]) => StandardSchemaV1.Result<[Out]>,
): StandardSchemaV1<[In], [Out]> {
  return { '~standard': { version: 1, vendor: 'by hand', validate: (args) => validate(args as [In]) } }
}
