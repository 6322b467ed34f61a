import type { Flow, Transition } from '@troupe/core'
import { memoryJournal } from '@troupe/core'
import { checkTransitions, crashingJournal, createTestEngine, virtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { flows, freshEffects, resetFailures } from './flows.ts'

interface Outcome {
  readonly value: unknown
  readonly effects: string[]
}

/** Runs a flow, dying after each of `crashes` entries in turn, with a new engine over the same journal after each. */
async function runCrashing(
  started: Flow<[], unknown>,
  crashes: readonly number[],
): Promise<Outcome & { entries: number; crashed: number }> {
  resetFailures()
  const effects = freshEffects()
  const journal = memoryJournal()
  const clock = virtualClock()
  let crashed = 0
  let entries = 0
  for (const [life, afterEntries] of [...crashes, Number.POSITIVE_INFINITY].entries()) {
    const dying = crashingJournal(journal, { afterEntries })
    const engine = createTestEngine({ journal: dying, clock, seed: life + 1, strictValues: true })
    const [known] = await journal.list({ limit: 1 })
    const run = known === undefined ? engine.run(started) : (await engine.recover())[0]
    if (run !== undefined) {
      const ended = run.wait().then(() => 'ended' as const)
      const how = await clock.run(Promise.race([ended, dying.death]))
      if (how === 'ended') {
        entries += dying.stored
        const value: unknown = await run.result()
        checkTransitions(await collect(engine.watch({ flowRunId: run.id })))
        await engine.close()
        return { value, effects: effects.keys, entries, crashed }
      }
    }
    crashed++
    entries += dying.stored
    // The process is dead: whatever its bodies still do reaches nobody. Let them come to rest.
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  throw new Error('unreachable')
}

async function collect(transitions: AsyncIterable<Transition>): Promise<Transition[]> {
  const all: Transition[] = []
  for await (const transition of transitions) all.push(transition)
  return all
}

describe('a flow run whose process dies', () => {
  for (const [name, started] of Object.entries(flows)) {
    it(`ends as an uncrashed one does, wherever it dies: ${name}`, async () => {
      const whole = await runCrashing(started, [])
      expect(whole.entries).toBeGreaterThan(4)
      for (let at = 2; at < whole.entries; at++) {
        const { value, effects, crashed } = await runCrashing(started, [at])
        expect
          .soft({ at, crashed, value, effects })
          .toEqual({ at, crashed: 1, value: whole.value, effects: whole.effects })
      }
    })

    it(`ends as an uncrashed one does when it dies three times: ${name}`, async () => {
      const whole = await runCrashing(started, [])
      for (let at = 2; at < whole.entries; at += 3) {
        const { value, effects } = await runCrashing(started, [at, 3, 2])
        expect.soft({ at, value, effects }).toEqual({ at, value: whole.value, effects: whole.effects })
      }
    })
  }
})
