/** A node of a cluster, as a process: it serves what it is told to, and does what it is asked. */
import { createEngine, type FlowRunHandle } from '@troupe/core'
import { Ledger } from './ledger.ts'
import type { Ask, NodeOrder, Question, Refusal, Said } from './orders.ts'
import { flows, here, type Done, type Step } from './plan-tasks.ts'
import { transportOf } from './transport.ts'

const order = JSON.parse(process.argv[2] ?? '') as NodeOrder
const say = (said: Said): void => void process.send?.(said)

if (order.skewMs !== 0) {
  // The clock of this machine is set wrong.
  const right = Date.now
  Date.now = () => right() + order.skewMs
}
here.node = order.node
here.ledger = new Ledger(order.ledger)

const served = order.flows.map((name) => flowOf(name))
const engine = createEngine({
  node: order.node,
  transport: transportOf(order.servers, order.namespace, order.settings),
  serve: { flows: served, tasks: order.tasks },
  limits: order.limits,
  ...(order.suspendAfter === undefined ? undefined : { suspendAfter: order.suspendAfter as '1s' }),
})
engine.errors.subscribe(({ error, runId }) => say({ said: 'error', error: `${runId ?? ''} ${shown(error)}` }))

/** Flow runs that were started here and are awaited. */
const started = new Map<string, FlowRunHandle<unknown>>()

function flowOf(name: string) {
  const found = flows[name as keyof typeof flows]
  if (found === undefined) throw new RangeError(`there is no flow ${name}`)
  return found
}

async function done(ask: Ask): Promise<unknown> {
  switch (ask.do) {
    case 'start': {
      const { flow, steps, id, idempotencyKey, on } = ask
      const options = {
        ...(id === undefined ? undefined : { id }),
        ...(idempotencyKey === undefined ? undefined : { idempotencyKey }),
      }
      if (on === 'any') {
        const run = await engine.run({ flow, ...options }, steps)
        started.set(run.id, run)
        return run.id
      }
      const run = engine.run(flowOf(flow).with(options), steps as readonly Step[]).handle
      started.set(run.id, run as FlowRunHandle<Done[]>)
      run.ignore()
      return run.id
    }
    case 'result':
      return (await handleOf(ask.id)).result()
    case 'state':
      return (await engine.get(ask.id))?.state.name
    case 'cancel':
      return (await (await handleOf(ask.id)).cancel()).name
    case 'pause':
      return (await (await handleOf(ask.id)).pause()).name
    case 'resume':
      return (await (await handleOf(ask.id)).resume()).name
    case 'release':
      return (await engine.release(ask.id)).id
    case 'signal':
      return (await handleOf(ask.id)).signal(ask.name, ask.payload)
    case 'health':
      return engine.health()
    case 'close':
      return engine.close({ grace: order.grace as '1s' })
  }
}

async function handleOf(id: string): Promise<FlowRunHandle<unknown>> {
  const run = started.get(id) ?? (await engine.get(id))
  if (run === undefined) throw new RangeError(`there is no run ${id}`)
  return run as FlowRunHandle<unknown>
}

process.on('message', (question: Question) => {
  done(question).then(
    (value) => say({ said: 'answer', number: question.number, value }),
    (error: unknown) => say({ said: 'refusal', number: question.number, error: refusal(error) }),
  )
})
// Who started it is gone.
process.on('disconnect', () => process.exit(0))
process.on('SIGTERM', () => {
  void engine.close({ grace: order.grace as '1s' }).then(() => process.exit(0))
})

function refusal(error: unknown): Refusal {
  const { name, message, code } = error as Error & { code?: unknown }
  return { name, message, code }
}

function shown(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause === undefined ? '' : `: ${shown(error.cause)}`
  return `${error.name} ${(error as { code?: string }).code ?? ''} ${error.message}${cause}`
}

/** Says that the node is there, as soon as servers answer. */
async function greet(): Promise<void> {
  for (;;) {
    try {
      await engine.list({ limit: 1 })
      say({ said: 'ready' })
      return
    } catch (error) {
      say({ said: 'error', error: shown(error) })
      if (!engine.health().open) return
    }
  }
}

void greet()
