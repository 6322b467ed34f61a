import type { createEngine } from '@troupe/core'
import { expectEqual } from '../lib/measure.ts'

type Engine = ReturnType<typeof createEngine>

/** Subscribers of an engine's stream that count, and say when the last of them saw the end of a flow run. */
export interface Subscribers {
  /** Settles when the next flow run's Completed has reached the last subscriber; at once with none. */
  readonly nextEnd: () => Promise<void>
  /** Throws unless each saw three transitions of the flow run and of its `taskRuns` since the last check. */
  readonly check: (taskRuns: number) => void
}

/** Attaches `count` subscribers to `engine.transitions`. */
export function subscribeMany(engine: Engine, count: number): Subscribers {
  let delivered = 0
  let ended = (): void => {}
  const last = count - 1
  for (let index = 0; index < count; index++) {
    engine.transitions.subscribe((transition) => {
      delivered += 1
      if (index === last && transition.kind === 'flow' && transition.to.name === 'Completed') ended()
    })
  }
  return {
    nextEnd: () => {
      if (count === 0) return Promise.resolve()
      return new Promise((resolve) => {
        ended = resolve
      })
    },
    check: (taskRuns) => {
      expectEqual('transitions delivered', delivered, 3 * (taskRuns + 1) * count)
      delivered = 0
    },
  }
}
