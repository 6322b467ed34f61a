import type { Params, Readings } from '../lib/measure.ts'
import { loadPeer } from '../peers/install.ts'
import { measureShapes } from './shapes.ts'

interface Effect<Value> {
  [Symbol.iterator](): Generator<Effect<Value>, Value>
}

type Layer = object

interface Workflow {
  toLayer(body: (payload: Payload) => Effect<number>): Layer & { pipe(provided: Layer): Layer }
  execute(payload: Payload): Effect<number>
}

interface Payload {
  readonly n: number
  readonly id: string
}

/** What is used of Effect. */
interface EffectModule {
  readonly Effect: {
    sync<Value>(body: () => Value): Effect<Value>
    gen<Value>(body: () => Generator<unknown, Value>): Effect<Value>
    all<Value>(effects: readonly Effect<Value>[], options: { concurrency: 'unbounded' }): Effect<Value[]>
  }
  readonly Layer: {
    mergeAll(...layers: readonly Layer[]): Layer
    provideMerge(layer: Layer, provided: Layer): Layer
  }
  readonly ManagedRuntime: {
    make(layer: Layer): {
      runPromise<Value>(effect: Effect<Value>): Promise<Value>
      dispose(): Promise<void>
    }
  }
  readonly Schema: { readonly Number: object; readonly String: object }
}

/** What is used of its workflows. */
interface WorkflowModule {
  readonly Activity: {
    make(options: { name: string; success: object; execute: Effect<number> }): Effect<number>
  }
  readonly Workflow: {
    make(
      name: string,
      options: { payload: object; success: object; idempotencyKey: (payload: Payload) => string },
    ): Workflow
  }
  readonly WorkflowEngine: { readonly layerMemory: Layer }
}

/**
 * Effect's workflows on its engine in memory, which its documentation has for tests and local development, and which keeps what
 * every execution did for as long as it lives: so does the journal beside it. Its tracer stays as it is: to turn it off makes no
 * difference that could be measured. Its durable engine, on a cluster and a database, is not measured.
 */
export async function effectWorkflow(params: Params): Promise<Readings> {
  const { Effect, Layer, ManagedRuntime, Schema } = await loadPeer<EffectModule>('effect')
  const { Activity, Workflow, WorkflowEngine } = await loadPeer<WorkflowModule>('effect/workflow')
  const atOnce = { concurrency: 'unbounded' } as const
  const define = (name: string): Workflow =>
    Workflow.make(name, {
      payload: { n: Schema.Number, id: Schema.String },
      success: Schema.Number,
      idempotencyKey: ({ id }) => id,
    })
  const step = (i: number): Effect<number> =>
    Activity.make({ name: `step ${i}`, success: Schema.Number, execute: Effect.sync(() => i) })
  const [sequence, fanOut, empty] = [define('sequence'), define('fan-out'), define('empty')]
  const [single, parent] = [define('single'), define('parent')]
  const upTo = <Value>(n: number, make: (i: number) => Value): Value[] =>
    Array.from({ length: n }, (_, i) => make(i))
  const layers = Layer.mergeAll(
    sequence.toLayer(({ n }) =>
      Effect.gen(function* () {
        let sum = 0
        for (let i = 0; i < n; i++) sum += (yield* step(i)) === i ? 1 : 0
        return sum
      }),
    ),
    fanOut.toLayer(({ n }) =>
      Effect.gen(function* () {
        const values = yield* Effect.all(upTo(n, step), atOnce)
        return values.filter((value, i) => value === i).length
      }),
    ),
    empty.toLayer(() => Effect.sync(() => 1)),
    single.toLayer(() => step(1)),
    parent.toLayer(({ n, id }) =>
      Effect.gen(function* () {
        const runs = upTo(n, (i) => empty.execute({ n: i, id: `${id}/${i}` }))
        return (yield* Effect.all(runs, atOnce)).length
      }),
    ),
  )
  const runtime = ManagedRuntime.make(Layer.provideMerge(layers, WorkflowEngine.layerMemory))
  let executions = 0
  const run = (workflow: Workflow, n: number): Promise<number> =>
    runtime.runPromise(workflow.execute({ n, id: `${executions++}` }))
  const readings = await measureShapes(
    {
      sequence: (n) => run(sequence, n),
      fanOut: (n) => run(fanOut, n),
      empty: () => run(empty, 0),
      single: () => run(single, 0),
      subflows: (n) => run(parent, n),
    },
    params,
  )
  await runtime.dispose()
  return readings
}
