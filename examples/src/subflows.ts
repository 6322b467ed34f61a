/** A flow called inside a flow: a flow run of its own, with its own journal, options and state, and a parent. */
import { createEngine, flow, task } from '@troupe/core'

const measure = task('measure', async (room: string) => room.length)

const floor = flow({ name: 'floor', retries: 1 }, async (rooms: string[]) => {
  const sizes = await Promise.all(measure.map(rooms))
  if (sizes.includes(0)) throw new Error('a room without a name')
  return sizes.reduce((a, b) => a + b, 0)
})

export const house = flow('house', async (floors: Record<string, string[]>) => {
  // Subflows run side by side unless the body awaits between them.
  const runs = Object.entries(floors).map(([name, rooms]) => floor.with({ runName: name })(rooms))
  const areas: string[] = []
  for (const run of runs) {
    // How a subflow ends is its own matter; what follows from it is the caller's.
    const state = await run.wait()
    areas.push(state.name === 'Completed' ? `area ${await run}` : `no area: ${state.message}`)
  }
  return areas
})

const engine = createEngine()
const histories = new Map<string, string>()
engine.transitions.subscribe(({ kind, runName, to }) => {
  const history = histories.get(runName)
  if (kind === 'flow') histories.set(runName, history === undefined ? to.name : `${history} → ${to.name}`)
})

console.log(await house({ ground: ['kitchen', 'hall'], attic: ['store', ''] }))
for (const [runName, history] of histories) console.log(`${runName}: ${history}`)
await engine.close()

// Output:
// [ 'area 11', 'no area: a room without a name' ]
// house: Pending → Running → Completed
// ground: Pending → Running → Completed
// attic: Pending → Running → Retrying → Failed
