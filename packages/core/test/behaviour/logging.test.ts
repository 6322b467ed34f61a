import {
  createEngine,
  currentFlowRun,
  currentTaskRun,
  flow,
  inputs,
  memoryCache,
  sleep,
  task,
  type HookEvent,
  type Logger,
} from '@troupe/core'
import pino from 'pino'
import { describe, expect, it } from 'vitest'
import { errorOf, quiet, testEngine } from './support.ts'

/** A `pino` logger, and the lines that it wrote. */
function pinoLogger(options: pino.LoggerOptions = {}) {
  const lines: Record<string, unknown>[] = []
  const logger = pino(
    { level: 'debug', base: null, timestamp: false, ...options },
    {
      write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>),
    },
  )
  return { logger, lines }
}

describe('a pino logger', () => {
  it('fits createEngine as it is, and each line of a run carries its ids', async () => {
    const { logger, lines } = pinoLogger()
    await using engine = createEngine({ logger })
    const step = task({ name: 'step', retries: 1, runName: 'step {0}' }, (n: number) => {
      const { logger: log, attempt } = currentTaskRun()
      log.debug('debugging')
      log.info({ n }, 'of the body')
      log.warn({ n })
      log.error({ err: new TypeError('seen') }, 'an error')
      if (attempt === 1) throw new Error('no')
    })
    const run = engine.run(
      flow('logs', async () => {
        currentFlowRun().logger.info('of the flow')
        const future = step(7)
        await future
        return future.id
      }),
    )
    const runId = await run
    await engine.close()
    const flowRunId = run.id
    expect(lines[0]).toEqual({
      level: 30,
      flowRunId,
      runId: flowRunId,
      run: 'logs',
      attempt: 1,
      msg: 'of the flow',
    })
    for (const attempt of [1, 2]) {
      const ids = { flowRunId, runId, run: 'step 7', attempt }
      const own = lines.filter((line) => line['runId'] === runId && line['attempt'] === attempt)
      expect(own).toEqual([
        { level: 20, ...ids, msg: 'debugging' },
        { level: 30, ...ids, n: 7, msg: 'of the body' },
        { level: 40, ...ids, n: 7 },
        {
          level: 50,
          ...ids,
          msg: 'an error',
          err: expect.objectContaining({ type: 'TypeError', message: 'seen' }) as unknown,
        },
      ])
    }
    expect(lines).toHaveLength(9)
  })

  it('fits by type: also a child, and with levels of its own', () => {
    const { logger } = pinoLogger()
    const loggers: Logger[] = [
      logger,
      logger.child({ service: 'imports' }),
      pino({ customLevels: { audit: 35 } }, { write: () => undefined }),
    ]
    expect(loggers).toHaveLength(3)
  })

  it('gets the engine’s own lines with the ids of the run that they are about', async () => {
    const { logger, lines } = pinoLogger()
    const cache = { ...memoryCache(), get: () => Promise.reject(new Error('down')) }
    await using engine = createEngine({ logger, cache })
    const onCompletion = (): never => {
      throw new TypeError('no')
    }
    const step = task({ name: 'step', cache: inputs(), onCompletion }, () => 1)
    const fails = flow('fails', () => {
      throw new Error('unseen')
    })
    const run = engine.run(flow('warns', async () => await step()))
    await run
    const failed = engine.run(fails)
    await quiet()
    await engine.close()
    const about = {
      run: 'step-1',
      runId: expect.stringContaining(`${run.id}.`) as unknown,
      flowRunId: run.id,
    }
    expect(lines).toMatchObject([
      {
        level: 40,
        msg: expect.stringContaining('can’t be read') as unknown,
        err: { message: 'down' },
        ...about,
      },
      { level: 50, msg: 'a hook failed', err: { message: 'no' }, ...about },
      { level: 50, msg: 'failed, and nobody looked', err: { message: 'unseen' }, runId: failed.id },
    ])
  })

  it('gets the attempt with them, too', async () => {
    const { logger, lines } = pinoLogger()
    await using engine = createEngine({ logger })
    const onCompletion = (): never => {
      throw new TypeError('no')
    }
    await engine.run(flow({ name: 'warns', onCompletion }, () => 1))
    await engine.close()
    expect(lines).toMatchObject([{ msg: 'a hook failed', attempt: 1 }])
  })

  it('leaves out what its level leaves out', async () => {
    const { logger, lines } = pinoLogger({ level: 'warn' })
    await using engine = createEngine({ logger })
    await engine.run(
      flow('levels', () => {
        const { logger: log } = currentFlowRun()
        log.debug('no')
        log.info('no')
        log.warn('yes')
      }),
    )
    await engine.close()
    expect(lines.map(({ msg }) => msg)).toEqual(['yes'])
  })

  it('is what hooks log to, with the attempt that they are told of', async () => {
    const { logger, lines } = pinoLogger()
    await using engine = createEngine({ logger })
    const hook = ({ logger: log, transition }: HookEvent) => log.info({ state: transition.to.name }, 'told')
    const step = task({ name: 'step', retries: 1, onRunning: hook, onFailure: hook }, (): number => {
      throw new Error('no')
    })
    await errorOf(engine.run(flow('tells', () => step())))
    await engine.close()
    expect(lines.map(({ state, attempt, run }) => [state, attempt, run])).toEqual([
      ['Running', 1, 'step-1'],
      ['Retrying', 2, 'step-1'],
      ['Failed', 2, 'step-1'],
    ])
  })
})

describe('the logger of a run', () => {
  it('keeps its ids, whatever fields a line has', async () => {
    await using engine = testEngine()
    const run = flow('keeps', () => {
      currentFlowRun().logger.info({ runId: 'mine', extra: 1 }, 'x')
    })()
    await engine.settle(run)
    expect(engine.lines[0]?.fields).toMatchObject({ extra: 1, flowRunId: run.id, runId: run.id })
  })

  it('works apart from its object, after the run has ended, and in callbacks', async () => {
    await using engine = testEngine()
    let kept: (message: string) => void = () => undefined
    const run = flow('apart', async () => {
      const { info } = currentFlowRun().logger
      kept = info
      await sleep(1)
      info('within')
    })()
    await engine.settle(run)
    kept('after')
    expect(engine.lines.map(({ message, fields }) => [message, fields['runId']])).toEqual([
      ['within', run.id],
      ['after', run.id],
    ])
  })

  it('that throws does not fail the body, and is reported', async () => {
    const refuses = (): never => {
      throw new TypeError('disk full')
    }
    await using engine = testEngine({
      logger: { debug: refuses, info: refuses, warn: refuses, error: refuses },
    })
    const errors: unknown[] = []
    engine.errors.subscribe(({ error }) => errors.push(error))
    const run = flow('full', () => {
      currentFlowRun().logger.info('x')
      return 'done'
    })()
    expect(await engine.settle(run)).toBe('done')
    expect(errors).toEqual([expect.objectContaining({ message: 'disk full' })])
  })
})
