import type { AnyFlow, Flow, Limit, QueueName, Serve } from '@troupe/core'
import type { FlowPlan, Role, Step, TaskPlan } from './plan.ts'

/** The library under test: the packages as they are, or copies with a fault in them. */
export type Library = typeof import('@troupe/core') & Pick<typeof import('@troupe/runners'), 'NatsTaskRunner'>

/** A body that has begun. */
export interface Begun {
  readonly runId: string
  readonly label: string
  readonly attempt: number
  readonly node: string
  /** How many entries were committed by then. */
  readonly after: number
  /** Whether it got to its end. */
  hadEffect: boolean
  /** Whether it has come to an end, whichever. */
  isOver: boolean
}

/** Where bodies do what they do. */
export interface Stage {
  readonly plan: { readonly flows: readonly FlowPlan[] }
  body(run: { readonly id: string; readonly attempt: number }, task: TaskPlan): Begun
  effect(begun: Begun): void
  wait(ms: number): Promise<void>
  throws(runId: string, task: TaskPlan): boolean
  signal(flowRunId: string, name: string): void
}

export interface Definitions {
  /** What is called goes there from now on. */
  play(stage: Stage | undefined): void
  flowOf(plan: FlowPlan): Flow<[number], unknown>
  serve(role: Role): Serve
  /** A limit of all task runs. */
  limit(concurrency: number): Limit
  readonly queues: readonly QueueName[]
}

const known = new WeakMap<Library, Definitions>()
let copies = 0

/** Definitions are shared by all clusters of one copy, which live one after the other. */
export function defined(core: Library): Definitions {
  let definitions = known.get(core)
  if (definitions === undefined) known.set(core, (definitions = define(core, ++copies)))
  return definitions
}

function define(core: Library, copy: number): Definitions {
  let stage: Stage | undefined
  const onStage = (): Stage => {
    if (stage === undefined) throw new RangeError('nothing is played')
    return stage
  }
  // Copies share the registry of definitions.
  const suffix = copy === 1 ? '' : `-${copy}`

  const task = core.task({ name: `task${suffix}`, maxRecoveries: 50 }, async (flow: number, step: number) => {
    const plan = onStage().plan.flows[flow]?.steps[step]
    if (plan?.kind !== 'task') throw new RangeError('no such task')
    const run = core.currentTaskRun()
    const { id, attempt } = run
    const begun = onStage().body({ id, attempt }, plan.task)
    try {
      if (plan.task.ms > 0) await (plan.task.sleeps ? core.sleep(plan.task.ms) : onStage().wait(plan.task.ms))
      if (onStage().throws(id, plan.task)) throw new RangeError(`${plan.task.label} throws`)
      onStage().effect(begun)
    } finally {
      begun.isOver = true
    }
    return { label: plan.task.label, attempt }
  })

  const perform = async (index: number): Promise<unknown> => {
    const { id } = core.currentFlowRun()
    const plan = onStage().plan.flows[index]
    if (plan === undefined) throw new RangeError('no such flow')
    const results: unknown[] = []
    const waits: Promise<void>[] = []
    const call = async (step: Step, place: number, slot: number): Promise<void> => {
      if (step.kind === 'flow') {
        results[slot] = await flowOf(step.flow)(step.flow.index)
        return
      }
      if (step.kind !== 'task') return
      const { retries, retryDelay, label } = step.task
      const options = { retries, retryDelay, runName: label }
      try {
        const { label: done } = await task.with(options)(index, place)
        results[slot] = done
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        results[slot] = `${label} failed`
      }
    }
    for (const [place, step] of plan.steps.entries()) {
      if (step.kind === 'task' || step.kind === 'flow') {
        const done = call(step, place, results.push(undefined) - 1)
        if (step.then === 'await') await done
        else {
          waits.push(done)
          // Where the body ends before it waits for it.
          done.catch(() => undefined)
        }
      } else if (step.kind === 'sleep') await core.sleep(step.ms)
      else if (step.kind === 'draw') core.uuid()
      else if (step.kind === 'join') await Promise.all(waits)
      else {
        onStage().signal(id, step.name)
        results.push(await core.receive(step.name))
      }
    }
    return results
  }

  const options = { maxRecoveries: 50 }
  const local = core.flow({ name: `local${suffix}`, ...options }, perform)
  const taskRunner = new core.NatsTaskRunner({ queue: `main${suffix}`, batch: 3 })
  const remote = core.flow({ name: `remote${suffix}`, taskRunner, ...options }, perform)
  const flowOf = (plan: FlowPlan): Flow<[number], unknown> => (plan.remote ? remote : local)
  const flows: readonly AnyFlow[] = [local, remote]
  return {
    play: (on) => (stage = on),
    flowOf,
    serve: (role) =>
      role === 'owner' ? { flows } : role === 'worker' ? { tasks: { [`main${suffix}`]: 2 } } : {},
    limit: (concurrency) => ({ task: `task${suffix}`, concurrency }),
    queues: [
      { of: 'flow', name: `local${suffix}` },
      { of: 'flow', name: `remote${suffix}` },
      { of: 'task', name: `main${suffix}` },
    ],
  }
}
