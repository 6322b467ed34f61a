import { currentTaskRun, flow, task, type Flow } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { deferred, testEngine } from '../behaviour/support.ts'
import { Lives, rest } from '../replay/lives.ts'
import { or, recovered, schemaOf, silent } from './support.ts'

/** Values go by reference, as they do in one process. */
const byReference = { strictValues: false, logger: silent }

describe('a retry', () => {
  it('gets the arguments that the schema made of those of the call', async () => {
    await using engine = testEngine()
    const seen: unknown[] = []
    const parameters = schemaOf<string, number>(([text]) => ({ value: [Number(text)] }))
    const converts = task({ name: 'converts', retries: 1, parameters }, (n) => {
      seen.push(n)
      if (currentTaskRun().attempt === 1) throw new Error('first attempt')
    })
    await engine.settle(engine.run(flow('calls-converts', () => converts('7'))))
    expect(seen).toEqual([7, 7])
  })
})

/** Starts a flow, closes its engine, recovers it in another, and opens the gate there. @returns The state it ends in. */
async function endAfterRestart(caller: Flow<[], unknown>, gate: { resolve(): void }): Promise<string> {
  const lives = new Lives()
  const first = lives.start(byReference)
  first.run(caller).ignore()
  await rest()
  await first.close()
  await using second = lives.start(byReference)
  const run = await recovered(second)
  gate.resolve()
  await or(lives.clock, run.result(), 400)
  return run.state.name
}

describe('the subflow of a recovered flow run, with values by reference', () => {
  it('is not run again where it has ended', async () => {
    const gate = deferred()
    let bodies = 0
    const counts = task('counts', () => ++bodies)
    const sub = flow('ended-sub', async (factor: number) => factor * (await counts()))
    const caller = flow('calls-ended', async () => {
      const value = await sub(1)
      await gate.promise
      return value
    })
    expect([await endAfterRestart(caller, gate), bodies]).toEqual(['Completed', 1])
  })

  it('goes on, and its tasks are not run again, where it was live', async () => {
    const gate = deferred()
    let bodies = 0
    const counts = task('counts', () => ++bodies)
    const sub = flow('live-sub', async (factor: number) => {
      const value = factor * (await counts())
      await gate.promise
      return value
    })
    const caller = flow('calls-live', async () => sub(1))
    expect([await endAfterRestart(caller, gate), bodies]).toEqual(['Completed', 1])
  })
})
