import { exponentialBackoff, flow, retryAfter, task, type RetryDelay, type TaskOptions } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { testEngine } from '../behaviour/support.ts'

/** Milliseconds; a moment is told to a ten-thousandth of one. */
const exactly = 0.001

type Waits = Pick<TaskOptions, 'retryDelay' | 'retryJitter'>

/** How long a run waited for each of its retries, in milliseconds; `undefined` for one that did not wait. */
async function waitsOf(retries: number, options: Waits, seed = 1): Promise<(number | undefined)[]> {
  await using engine = testEngine({ seed })
  const waits: (number | undefined)[] = []
  let since: number | undefined
  engine.transitions.subscribe(({ to, at }) => {
    if (to.name === 'AwaitingRetry') since = at
    if (to.name !== 'Retrying') return
    waits.push(since === undefined ? undefined : at - since)
    since = undefined
  })
  const fails = task({ name: 'fails', retries, ...options }, (): number => {
    throw new Error('again')
  })
  await engine.settle(fails().wait())
  return waits
}

/** Many waits for the first retry, or for the one of that number. */
async function manyWaits(options: Waits, seed?: number): Promise<number[]> {
  const waits = await waitsOf(count, options, seed)
  expect(waits).toHaveLength(count)
  return waits.map((ms) => ms ?? Number.NaN)
}

const count = 4_000

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/**
 * How far the mean of even waits may be from the delay: four standard errors, which one seed of 16,000 would exceed. The
 * standard deviation of an even distribution is half its width divided by √3.
 */
function tolerance(delay: number, jitter: number, of = count): number {
  return (4 * delay * jitter) / Math.sqrt(3 * of)
}

/** Pearson's statistic: how unevenly values from `from` to `to` fall into ten equal bins. */
function chiSquare(values: readonly number[], from: number, to: number): number {
  const bins = Array.from({ length: 10 }, () => 0)
  for (const value of values) {
    const bin = Math.min(Math.floor(((value - from) / (to - from)) * 10), 9)
    bins[bin] = (bins[bin] ?? 0) + 1
  }
  const expected = values.length / 10
  return bins.reduce((sum, found) => sum + (found - expected) ** 2 / expected, 0)
}

/** Exceeded by one even sample of a thousand: the 99.9th percentile of chi-square with 9 degrees of freedom. */
const unevenness = 27.88

describe('retryJitter', () => {
  it.each([0.1, 0.25, 0.5, 1])(
    'of %d spreads waits evenly around the delay, and no further',
    async (retryJitter) => {
      const delay = 1_000
      const [from, to] = [delay * (1 - retryJitter), delay * (1 + retryJitter)]
      const waits = await manyWaits({ retryDelay: delay, retryJitter })
      expect(Math.min(...waits)).toBeGreaterThanOrEqual(from - exactly)
      expect(Math.max(...waits)).toBeLessThanOrEqual(to + exactly)
      expect(Math.abs(mean(waits) - delay)).toBeLessThan(tolerance(delay, retryJitter))
      expect(chiSquare(waits, from, to)).toBeLessThan(unevenness)
    },
  )

  it('draws each wait by itself: one says nothing of the next', async () => {
    const waits = (await manyWaits({ retryDelay: 1_000, retryJitter: 1 })).map((ms) => ms - 1_000)
    const products = waits.slice(1).map((ms, index) => ms * (waits[index] ?? 0))
    const correlation = mean(products) / mean(waits.map((ms) => ms ** 2))
    // Four standard errors again.
    expect(Math.abs(correlation)).toBeLessThan(4 / Math.sqrt(count))
  })

  it('is the same for the same seed of the engine, and another one for another seed', async () => {
    const options = { retryDelay: 1_000, retryJitter: 0.5 } as const
    const waits = await waitsOf(20, options, 7)
    expect(await waitsOf(20, options, 7)).toEqual(waits)
    const others = await waitsOf(20, options, 8)
    expect(others.filter((ms) => waits.includes(ms))).toEqual([])
  })

  it('holds for flows as for tasks', async () => {
    await using engine = testEngine()
    const at: number[] = []
    const fails = flow({ name: 'fails', retries: count, retryDelay: 100, retryJitter: 0.5 }, () => {
      at.push(engine.clock.monotonic())
      throw new Error('again')
    })
    await engine.settle(engine.run(fails).wait())
    const waits = at.slice(1).map((ms, index) => ms - (at[index] ?? 0))
    expect(waits).toHaveLength(count)
    expect(Math.abs(mean(waits) - 100)).toBeLessThan(tolerance(100, 0.5))
    expect(chiSquare(waits, 50, 150)).toBeLessThan(unevenness)
  })

  it.each([
    ['by default', {}],
    ['of 0', { retryJitter: 0 }],
  ])('%s leaves every wait exactly as long as the delay', async (_, jitter) => {
    const waits = await waitsOf(100, { retryDelay: [10, 20], ...jitter })
    expect(waits).toEqual([10, ...Array.from({ length: 99 }, () => 20)])
  })

  it.each([0.5, 1])('of %d makes no wait where there is no delay', async (retryJitter) => {
    expect(await waitsOf(100, { retryDelay: 0, retryJitter })).toEqual(Array.from({ length: 100 }))
    expect(await waitsOf(100, { retryJitter })).toEqual(Array.from({ length: 100 }))
  })

  it('leaves the wait that a body asks for as it is', async () => {
    await using engine = testEngine()
    const at: number[] = []
    const asks = task({ name: 'asks', retries: 50, retryDelay: 10, retryJitter: 1 }, () => {
      at.push(engine.clock.monotonic())
      throw retryAfter(30)
    })
    await engine.settle(asks().wait())
    expect(at).toEqual(Array.from({ length: 51 }, (_, index) => index * 30))
  })
})

describe('retryJitter on delays that differ', () => {
  const runs = 600

  /** The waits for each retry, over many runs. */
  async function byRetry(retries: number, retryDelay: RetryDelay, retryJitter: number): Promise<number[][]> {
    const found: number[][] = Array.from({ length: retries }, () => [])
    await using engine = testEngine()
    const since = new Map<string, number>()
    engine.transitions.subscribe(({ runId, to, at, attempt }) => {
      if (to.name === 'AwaitingRetry') since.set(runId, at)
      if (to.name === 'Retrying') found[attempt - 2]?.push(at - (since.get(runId) ?? Number.NaN))
    })
    const fails = task({ name: 'fails', retries, retryDelay, retryJitter }, (): number => {
      throw new Error('again')
    })
    await engine.settle(Promise.all(Array.from({ length: runs }, () => fails().wait())))
    for (const waits of found) expect(waits).toHaveLength(runs)
    return found
  }

  it.each<[string, RetryDelay, number[]]>([
    ['an exponential backoff', exponentialBackoff(100, { factor: 3 }), [100, 300, 900, 2_700, 8_100]],
    ['one that has reached its longest wait', exponentialBackoff(100, { max: 250 }), [100, 200, 250, 250]],
    ['a list', [5, 50, 500], [5, 50, 500, 500]],
    ['a function', (retry) => 10 * retry, [10, 20, 30, 40]],
  ])('spreads each wait of %s around its own delay', async (_, retryDelay, delays) => {
    const jitter = 0.5
    const found = await byRetry(delays.length, retryDelay, jitter)
    for (const [index, delay] of delays.entries()) {
      const waits = found[index] ?? []
      expect(Math.min(...waits)).toBeGreaterThanOrEqual(delay * (1 - jitter) - exactly)
      expect(Math.max(...waits)).toBeLessThanOrEqual(delay * (1 + jitter) + exactly)
      expect(Math.abs(mean(waits) - delay)).toBeLessThan(tolerance(delay, jitter, runs))
      expect(chiSquare(waits, delay * (1 - jitter), delay * (1 + jitter))).toBeLessThan(unevenness)
    }
  })
})
