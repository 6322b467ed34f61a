import {
  currentFlowRun,
  flow,
  memoryJournal,
  registerValue,
  sleep,
  task,
  type Journal,
  type TaskFuture,
} from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { all, deferred, quiet, testEngine } from '../behaviour/support.ts'
import { Lives, rest } from '../replay/lives.ts'
import {
  abandoned,
  cutOff,
  delayed,
  forever,
  hang,
  later,
  or,
  pass,
  recovered,
  schemaOf,
  silent,
} from './support.ts'

/** What ends a process that does not listen for it. */
const uncaught: unknown[] = []
const keep = (error: unknown): void => void uncaught.push(error)

beforeEach(() => {
  uncaught.length = 0
  process.on('unhandledRejection', keep)
  process.on('uncaughtException', keep)
})
afterEach(() => {
  process.off('unhandledRejection', keep)
  process.off('uncaughtException', keep)
})

describe('no unhandled rejection comes of', () => {
  it('a sleep that is not awaited yet when its run is cancelled', async () => {
    await using engine = testEngine({ strictValues: false })
    const busy = task('busy', () => later(engine.clock, 50))
    const atLeast = flow('at-least', async () => {
      const least = sleep('1s')
      await busy()
      await least
    })
    const run = engine.run(atLeast)
    await pass(engine.clock, 10)
    await engine.settle(run.cancel())
    await pass(engine.clock, 80)
    await engine.close()
    await quiet()
    expect(uncaught).toEqual([])
  })

  it('a wait whose timeout is no duration', async () => {
    await using engine = testEngine({ strictValues: false })
    const run = engine.run(flow('outlives', () => later(engine.clock, 100)))
    // @ts-expect-error no duration
    await run.wait({ timeout: 'soon' }).catch(() => undefined)
    await engine.close()
    await quiet()
    expect(uncaught).toEqual([])
  })
})

describe('a flow run ends all the same', () => {
  it('where the logger throws, which is asked once and harms nobody', async () => {
    let lines = 0
    const logger = {
      ...silent,
      error() {
        lines++
        throw new Error('logger')
      },
    }
    await using engine = testEngine({ logger, strictValues: false })
    const fails = flow('fails', () => {
      throw new Error('bad')
    })
    engine.run(fails)
    await pass(engine.clock, 100)
    expect([lines, uncaught]).toEqual([1, []])
  })

  it('where the class of a value throws as it is decoded', async () => {
    class Money {}
    registerValue(Money, {
      name: 'hard/Money',
      encode: () => 1,
      decode: () => {
        throw new Error('decode')
      },
    })
    await using engine = testEngine()
    const earns = task('earns', () => new Money())
    const run = engine.run(
      flow('earns-once', async () => {
        await earns()
        return 1
      }),
    )
    const state = await or(engine.clock, run.wait(), 400)
    const errors = engine.lines.filter(({ level }) => level === 'error')
    expect([state, errors]).toEqual([expect.objectContaining({ type: 'FAILED' }), []])
  })

  it('where its parameters are refused when it is recovered', async () => {
    const lives = new Lives()
    let valid = true
    const parameters = schemaOf<string>((value) => (valid ? { value } : { issues: [{ message: 'no' }] }))
    const strict = flow({ name: 'strict', parameters }, forever)
    await cutOff(lives, (engine) => engine.run(strict, 'a'))
    valid = false
    await using second = lives.start({ logger: silent })
    const run = await recovered(second)
    await or(lives.clock, run.wait())
    expect(run.state.type).toBe('FAILED')
  })

  it('where one read fails while a retry is prepared', async () => {
    const clock = virtualClock()
    const inner = delayed(memoryJournal(), clock)
    let failures = 0
    const journal: Journal = {
      ...inner,
      async read(flowRunId, from, limit) {
        if (failures++ === 0) throw new Error('io')
        return inner.read(flowRunId, from, limit)
      },
    }
    await using engine = testEngine({ clock, journal, strictValues: false })
    const one = task('one', () => 1)
    const retries = flow({ name: 'retries', retries: 1 }, async () => {
      await one()
      if (currentFlowRun().attempt === 1) throw new Error('first attempt')
      return 'ok'
    })
    expect(await or(clock, engine.run(retries), 1_000)).not.toBe(hang)
  })
})

describe('a flow run', () => {
  it('tells all its transitions, although the journal is dropped at the end', async () => {
    await using engine = testEngine({ journal: memoryJournal({ keep: 0 }), strictValues: false })
    const run = engine.run(flow('dropped', () => later(engine.clock, 20)))
    const last = all(run.transitions).then((transitions) => transitions.at(-1)?.to.name)
    expect(await or(engine.clock, last, 400)).toBe('Completed')
  })

  it('lets go of those who watch it when the engine is closed', async () => {
    const engine = testEngine({ strictValues: false })
    const run = engine.run(flow('watched', forever)).ignore()
    const watched = all(run.transitions).then(
      () => 'complete',
      () => 'error',
    )
    await pass(engine.clock, 20)
    await engine.close()
    expect(await or(engine.clock, watched, 400)).not.toBe(hang)
  })

  it('lets go of those who wait from outside for its task run when the engine is closed', async () => {
    const engine = testEngine({ strictValues: false })
    const children: TaskFuture<void>[] = []
    const waits = task('waits', forever)
    const caller = flow('caller', async () => {
      const child = waits()
      children.push(child)
      await child
    })
    engine.run(caller).ignore()
    await pass(engine.clock, 10)
    expect(children).toHaveLength(1)
    const waited = Promise.all(children.map((child) => child.wait()))
    await engine.close()
    expect(await or(engine.clock, waited, 400)).not.toBe(hang)
  })

  it('answers `pause`, though another engine has taken it over', async () => {
    const lives = new Lives()
    await using first = lives.start()
    const run = abandoned(first.run(flow('lost', forever)))
    await rest()
    await using second = lives.start()
    await second.recover()
    await rest()
    expect(await or(lives.clock, run.pause(), 1)).not.toBe(hang)
  })

  it('has nothing written after its end, whatever its body does then', async () => {
    const journal = memoryJournal()
    await using engine = testEngine({ journal, strictValues: false })
    const { clock } = engine
    const gate = deferred()
    const other = engine.run(flow('other', () => gate.promise)).ignore()
    const leaves = flow('leaves', () => {
      void later(clock, 10).then(() => void other.wait({ timeout: 5 }))
    })
    const run = engine.run(leaves)
    await engine.settle(run)
    const ended = await journal.summary(run.id)
    expect(ended?.ended).toBe(true)
    await pass(clock, 50)
    gate.resolve()
    expect((await journal.summary(run.id))?.position).toBe(ended?.position)
  })
})
