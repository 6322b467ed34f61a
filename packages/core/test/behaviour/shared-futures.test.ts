import { inspect } from 'node:util'
import { flow, memoryJournal, now, sleep, task, type TaskFuture } from '@troupe/core'
import { crashingJournal, createTestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'

const one = task('one', async () => 1)

describe('a future that is held outside the body that submitted it', () => {
  it('gives its value after that body has ended', async () => {
    await using engine = createTestEngine()
    let held: TaskFuture<number> | undefined
    const makes = flow('makes', () => {
      held = one()
      held.ignore()
      return 'made'
    })
    expect(await engine.settle(engine.run(makes))).toBe('made')
    expect(await engine.settle(held as TaskFuture<number>)).toBe(1)
  })

  it('gives its value to the body of another flow run', async () => {
    await using engine = createTestEngine()
    let held: TaskFuture<number> | undefined
    const makes = flow('makes', () => {
      held = one()
      return 'made'
    })
    const takes = flow('takes', async () => (await (held as TaskFuture<number>)) + 1)
    await engine.settle(engine.run(makes))
    expect(await engine.settle(engine.run(takes))).toBe(2)
  })
})

describe('a handle that `engine.get` gives of a live task run', () => {
  it('steers the run itself', async () => {
    await using engine = createTestEngine()
    const waits = task('waits', () => new Promise(() => undefined))
    const holds = flow('holds', async () => {
      try {
        return await waits()
      } catch (error) {
        return (error as { code: string }).code
      }
    })
    const run = engine.run(holds)
    await engine.settle(new Promise((resolve) => setImmediate(() => setImmediate(resolve))))
    const steps = engine.watch({ flowRunId: run.id })
    let taskRunId = ''
    for await (const { runId, task: name, to } of steps) {
      taskRunId = runId
      if (name === 'waits' && to.name === 'Running') break
    }
    const handle = await engine.get(taskRunId)
    void handle?.cancel('not needed')
    expect(await engine.settle(run)).toBe('RUN_CANCELLED')
  })
})

describe('a future that is used as a value', () => {
  it('fails the run that does so, and says to await it', async () => {
    await using engine = createTestEngine()
    // A forgotten await.
    const body = () => `${one() as unknown as string}`
    const error = await engine.settle(
      engine
        .run(flow('text', body))
        .result()
        .catch((thrown: unknown) => thrown),
    )
    expect(error).toMatchObject({
      code: 'FUTURE_AS_VALUE',
      message: expect.stringContaining('await it') as string,
    })
  })

  it('is one line where it is printed, and a few facts as JSON', async () => {
    await using engine = createTestEngine()
    const run = engine.run(flow('printed', () => 1))
    expect(inspect(run)).toBe(`flow run printed (${run.id}) Pending`)
    expect(JSON.parse(JSON.stringify({ run }))).toEqual({
      run: { kind: 'flow', id: run.id, runName: 'printed', state: 'Pending' },
    })
    await engine.settle(run)
  })
})

describe('a test engine', () => {
  it('goes on in the time of its journal, and closes though the journal is dead', async () => {
    const journal = memoryJournal()
    const months = flow('months', async () => {
      const from = now()
      for (let month = 0; month < 6; month++) await sleep('30d')
      return (now() - from) / 86_400_000
    })
    const dying = crashingJournal(journal, { afterEntries: 9 })
    const first = createTestEngine({ journal: dying })
    first.run(months).ignore()
    await first.settle(dying.death)
    await first.close()
    await using second = createTestEngine({ journal })
    const [run] = await second.recover()
    expect(await second.settle(run?.result() ?? Promise.resolve())).toBe(180)
  })
})
