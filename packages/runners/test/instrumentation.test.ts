/** Where bodies belong goes along to threads and to workers; what fails there on the way changes nothing. */
import {
  createEngine,
  flow,
  memoryTransport,
  type Engine,
  type EngineOptions,
  type TaskRunner,
} from '@troupe/core'
import { NatsTaskRunner, WorkerThreadsTaskRunner } from '@troupe/runners'
import { afterEach, describe, expect, it } from 'vitest'
import { sees } from './worker-threads/tasks/within.ts'

const engines: Engine[] = []
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close()
})

const ignore = (): void => undefined
const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }

/** An engine that says of each attempt where it belongs. */
function opened(traceparent: string | undefined, options: EngineOptions = {}) {
  const traceOf = () => (traceparent === undefined ? undefined : { traceparent, tracestate: 'a=1' })
  const engine = createEngine({ logger, instrumentation: { traceOf }, ...options })
  const errors: unknown[] = []
  engine.errors.subscribe(({ error }) => errors.push((error as Error).message))
  engines.push(engine)
  return {
    errors,
    run: (taskRunner: TaskRunner) => engine.run(flow({ name: 'asks', taskRunner }, () => sees())),
  }
}

describe('a body on a thread', { timeout: 60_000 }, () => {
  const runner = new WorkerThreadsTaskRunner({ threads: 1 })

  it('is called where it belongs', async () => {
    const { run, errors } = opened('here')
    expect(await run(runner)).toBe('here a=1')
    expect(errors).toEqual([])
  })

  it('is called as ever where nothing says so', async () => {
    const { run } = opened(undefined)
    expect(await run(runner)).toBe('none')
  })

  it('is called as ever where that fails, and the engine is told', async () => {
    const { run, errors } = opened('breaks')
    expect(await run(runner)).toBe('none')
    expect(errors).toEqual(['no context'])
  })
})

describe('a body on a worker', () => {
  it('is called where it belongs, by the instrumentation of the worker, and told of where that fails', async () => {
    const transport = memoryTransport()
    const { run, errors } = opened('here', { transport, node: 'owner' })
    const belongs: unknown[] = []
    const within = <T>(trace: unknown, body: () => T): T => {
      belongs.push(trace)
      if (belongs.length === 2) throw new RangeError('no context')
      return body()
    }
    const worker = { transport, node: 'worker', logger, serve: { tasks: { default: 1 } } }
    engines.push(createEngine({ ...worker, instrumentation: { within } }))
    const runner = new NatsTaskRunner()
    expect([await run(runner), await run(runner)]).toEqual(['none', 'none'])
    const trace = { traceparent: 'here', tracestate: 'a=1' }
    expect(belongs).toEqual([trace, trace])
    expect(errors).toEqual(['no context'])
  })
})
