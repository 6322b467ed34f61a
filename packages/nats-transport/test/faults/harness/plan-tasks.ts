/** Flows whose bodies do what they are told: the plan is an argument. */
import {
  currentTaskRun,
  flow,
  receive,
  sleep,
  task,
  uuid,
  type Duration,
  type RetryDelay,
  type TaskRunner,
} from '@troupe/core'
import { NatsTaskRunner } from '@troupe/runners'
import type { Ledger } from './ledger.ts'

/** A task run and what its body does. */
export interface Item {
  /** Names the effect; each item of a test has its own. */
  readonly key: string
  /** How long the body takes, in milliseconds, before all that follows. */
  readonly ms?: number
  /** Gate at which the body waits; those of attempts above `holds` (default 1) pass. */
  readonly gate?: string
  readonly holds?: number
  /** How long the body blocks its event loop, in milliseconds. */
  readonly blockMs?: number
  /** How many attempts throw. */
  readonly failures?: number
  /** Gate: while it is shut, the body ends its process. */
  readonly dies?: string
  /** How many bytes the value has besides. */
  readonly bytes?: number
  /** Something that goes with the arguments. */
  readonly ballast?: unknown
  readonly retries?: number
  readonly retryDelay?: RetryDelay
  readonly timeout?: Duration
  readonly maxRecoveries?: number
  readonly onHostLost?: 'recover' | 'crash'
  readonly tags?: readonly string[]
  readonly grace?: Duration
  readonly priority?: number
  /** Whether the value is one that can't be encoded. */
  readonly isStrange?: boolean
}

/** What a flow does: items side by side, one list after another, with waits between them. */
export type Step =
  | readonly Item[]
  | { readonly sleep: Duration }
  | { readonly receive: string }
  | { readonly draw: true }
  | { readonly below: readonly Step[] }

/** The value of a task run: who did it. */
export interface Done {
  readonly key: string
  readonly node: string
  readonly runId: string
  readonly attempt: number
  readonly bytes: number
}

/** Of the process: who executes bodies here, and where they note what they do. */
export const here: { node: string; ledger: Ledger | undefined } = { node: '', ledger: undefined }

function note(what: 'began' | 'did' | 'told' | 'ended', key: string, why?: string): void {
  const { id: runId, attempt } = currentTaskRun()
  here.ledger?.note({
    what,
    key,
    node: here.node,
    runId,
    attempt,
    at: Date.now(),
    ...(why === undefined ? undefined : { why }),
  })
}

async function body(item: Item): Promise<Done> {
  const { key, ms, gate, holds = 1, blockMs, failures = 0, dies, bytes = 0 } = item
  const { id: runId, attempt, signal } = currentTaskRun()
  note('began', key)
  // Deaf to it on purpose: what it does afterwards must be refused.
  signal.addEventListener('abort', () => {
    here.ledger?.note({
      what: 'told',
      key,
      node: here.node,
      runId,
      attempt,
      at: Date.now(),
      why: String(signal.reason),
    })
  })
  if (dies !== undefined && here.ledger?.isOpen(dies) !== true) process.abort()
  if (ms !== undefined) await new Promise((resolve) => setTimeout(resolve, ms))
  if (blockMs !== undefined && attempt <= holds) {
    const until = performance.now() + blockMs
    while (performance.now() < until);
  }
  if (gate !== undefined && attempt <= holds) await passed(gate)
  if (attempt <= failures) throw new RangeError(`attempt ${attempt} of ${key} fails`)
  note('did', key)
  const done = { key, node: here.node, runId, attempt, bytes }
  note('ended', key)
  if (item.isStrange === true) return (() => done) as unknown as Done
  return bytes === 0 ? done : ({ ...done, ballast: 'x'.repeat(bytes) } as Done)
}

/** Waits at a gate, which a test opens. */
async function passed(gate: string): Promise<void> {
  while (here.ledger?.isOpen(gate) !== true) await new Promise((resolve) => setTimeout(resolve, 10))
}

/** Told by who starts the process: another version of the same code. */
const version = process.env['PLAN_VERSION'] ?? '1'

const work = task({ name: 'work', maxRecoveries: 1_000, version }, body)

function called({ ...item }: Item) {
  const { key, failures, retries = failures ?? 0, ...rest } = item
  const given = { key, retries, ...pick(rest, optionNames) }
  return work.with(given)(item)
}

const optionNames = [
  'retryDelay',
  'timeout',
  'maxRecoveries',
  'onHostLost',
  'tags',
  'grace',
  'priority',
] as const

function pick<T extends object, K extends keyof T>(from: T, names: readonly K[]): Pick<T, K> {
  return Object.fromEntries(names.filter((name) => name in from).map((name) => [name, from[name]])) as Pick<
    T,
    K
  >
}

async function steps(list: readonly Step[]): Promise<Done[]> {
  const done: Done[] = []
  for (const step of list) {
    if (isItems(step)) done.push(...(await Promise.all(step.map((item) => called(item)))))
    else if ('sleep' in step) await sleep(step.sleep)
    else if ('receive' in step) done.push({ ...nothing, key: String(await receive(step.receive)) })
    else if ('draw' in step) done.push({ ...nothing, key: uuid() })
    else done.push(...(await below(step.below)))
  }
  return done
}

const isItems = (step: Step): step is readonly Item[] => Array.isArray(step)
const nothing = { node: '', runId: '', attempt: 0, bytes: 0 }

const options = (taskRunner?: TaskRunner) => ({
  maxRecoveries: 1_000,
  version,
  onVersionChange: 'pin' as const,
  ...(taskRunner === undefined ? undefined : { taskRunner }),
})

const below = flow({ name: 'below', ...options() }, steps)

/** With task runs on workers of the queue `work`. */
export const plan = flow({ name: 'plan', ...options(new NatsTaskRunner({ queue: 'work' })) }, steps)

/** The same, each task run in a message of its own: workers share them evenly. */
export const even = flow({ name: 'even', ...options(new NatsTaskRunner({ queue: 'work', batch: 1 })) }, steps)

/** With task runs on the owner. */
export const local = flow({ name: 'local', ...options() }, steps)

export const flows = { plan, even, local, below }
