import type { Transition } from '@troupe/core'
import { checkTransitions, crashEverywhere } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { flows, freshEffects, resetFailures } from './flows.ts'

async function collect(transitions: AsyncIterable<Transition>): Promise<Transition[]> {
  const all: Transition[] = []
  for await (const transition of transitions) all.push(transition)
  return all
}

describe('a flow run whose process dies', () => {
  it.each(Object.entries(flows))(
    'ends as an uncrashed one does, wherever it dies: %s',
    async (_, started) => {
      let effects = freshEffects()
      const { points, repeated } = await crashEverywhere(started, [], {
        times: 3,
        effects: () => effects.keys,
        reset() {
          resetFailures()
          effects = freshEffects()
        },
        check: async ({ run, engine }) => {
          checkTransitions(await collect(engine.watch({ flowRunId: run.id })))
        },
        log: () => undefined,
      })
      expect(points).toBeGreaterThan(8)
      expect(repeated).toBeGreaterThan(points / 2)
    },
  )
})
