import {
  ConcurrentTaskRunner,
  flow,
  inputs,
  memoryCache,
  sleep,
  task,
  type Cache,
  type FlowRun,
} from '@troupe/core'
import { seededRandom, virtualClock, type TestEngine, type VirtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { hang, later, or, pass } from '../hard/support.ts'
import { through } from './caching-support.ts'
import { quiet, testEngine } from './support.ts'

/** Flow runs at random, that call cached tasks which call each other, fail, are cancelled and paused. */
async function play(engine: TestEngine, seed: number, { limited }: { limited: boolean }): Promise<void> {
  const random = seededRandom(seed)
  const draw = (below: number): number => Math.floor(random.number() * below)
  const values: [number, unknown][] = []
  const bodies = new Map<number, number>()
  const again: { call?: (n: number, depth: number) => PromiseLike<number> } = {}
  const cached = task(
    {
      name: 'cached',
      cache: inputs({ omit: [1] }),
      retries: draw(3),
      ...(draw(2) === 0 ? { timeout: '40s' as const } : undefined),
      ...(draw(2) === 0 ? { retryDelay: '3s' } : undefined),
      ...(limited && draw(2) === 0 ? { tags: ['db'] } : undefined),
    },
    async (n: number, depth: number): Promise<number> => {
      const at = (bodies.get(n) ?? 0) + 1
      bodies.set(n, at)
      const [pause, fails, below] = [draw(3000), draw(4) === 0, draw(4)]
      if (pause > 500) await sleep(pause)
      if (depth < 4 && below < 3) await again.call?.(below, depth + 1)
      if (fails) throw new Error(`no ${n}`)
      return n * 100
    },
  )
  again.call = (n, depth) => {
    if (draw(3) > 0) return cached(n, depth)
    return plain(n, depth)
  }
  const plain = task(
    { name: 'plain', ...(limited ? { tags: ['db'] } : undefined) },
    async (n: number, depth: number) => {
      if (draw(2) === 0) await sleep(draw(1000))
      return await cached(n, depth)
    },
  )
  const limit = 1 + draw(3)
  const taskRunner = new ConcurrentTaskRunner(draw(2) === 0 ? {} : { limit })
  const plays = flow({ name: 'plays', taskRunner, retries: draw(2) }, async () => {
    for (let turn = 0; turn < 3; turn++) {
      if (draw(2) === 0) await sleep(draw(1500))
      const calls = Array.from({ length: 1 + draw(3) }, () => {
        const n = draw(3)
        const refreshes = draw(6) === 0
        return { n, future: (refreshes ? cached.with({ refreshCache: true }) : cached)(n, 0) }
      })
      const cancelled = draw(8) === 0 ? calls[0] : undefined
      if (cancelled !== undefined) void cancelled.future.cancel()
      for (const { n, future } of calls) {
        const value = await future.catch(() => undefined)
        if (value !== undefined) values.push([n, value])
      }
    }
    return 'done'
  })
  const runs: FlowRun<string>[] = []
  for (let i = 0; i < 4; i++) {
    runs.push(engine.run(plays))
    if (draw(2) === 0) await pass(engine.clock, draw(1000))
  }
  for (let act = 0; act < 4; act++) {
    const run = runs[draw(runs.length)]
    const what = draw(4)
    if (what === 0) void run?.cancel()
    if (what === 1) await run?.pause()
    await pass(engine.clock, draw(2000))
    if (what === 1) await run?.resume()
  }
  for (const run of runs) await run.resume()
  const ends = await or(engine.clock, Promise.all(runs.map((run) => run.wait())))
  if (ends === hang) throw new RangeError(`seed ${seed}: ${runs.map(({ state }) => state.name).join(', ')}`)
  for (const [n, value] of values) expect(value).toBe(n * 100)
  await quiet()
  expect(engine.health().liveRuns).toBe(0)
}

/** A cache that answers late, and now and then not at all, with an error or with garbage. */
function shaky(clock: VirtualClock, seed: number): Cache {
  const random = seededRandom(seed)
  const wait = async (): Promise<void> => {
    const chance = random.number()
    if (chance < 0.05) await new Promise(() => undefined)
    if (chance < 0.1) throw new TypeError('the cache is down')
    if (chance < 0.6) await later(clock, Math.floor(random.number() * 2000))
  }
  return through(memoryCache({ keep: 2 }), {
    get: async (ask) => {
      await wait()
      const entry = await ask()
      return entry !== undefined && random.number() < 0.1 ? { ...entry, value: Uint8Array.of(255) } : entry
    },
    put: async (store) => {
      await wait()
      await store()
    },
  })
}

const seeds = Number(process.env['SEEDS'] ?? 60)

describe.each([
  ['without limits', false, false],
  ['with limits', true, false],
  ['with limits and a cache that can’t be relied on', true, true],
])('cached tasks at random, %s', (_, limited, isShaky) => {
  it('end, whatever becomes of those they wait for, and have the value of their key', async () => {
    for (let seed = 1; seed <= seeds; seed++) {
      const clock = virtualClock()
      await using engine = testEngine({
        seed,
        clock,
        cache: isShaky ? shaky(clock, seed) : memoryCache({ keep: 2 }),
        strictValues: seed % 2 === 0,
        limits: limited ? [{ tag: 'db', concurrency: 1 + (seed % 3) }] : [],
      })
      await play(engine, seed, { limited })
      await engine.close()
      expect(engine.lines.filter(({ level }) => level === 'error')).toEqual([])
    }
  }, 600_000)
})
