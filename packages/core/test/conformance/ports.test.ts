import {
  JournalError,
  memoryBlobs,
  memoryCache,
  memoryMailbox,
  type Cache,
  type CacheEntry,
  type Mailbox,
  type Nodes,
} from '@troupe/core'
import {
  blobsConformance,
  cacheConformance,
  clockConformance,
  mailboxConformance,
  nodesConformance,
  randomConformance,
  seededRandom,
  virtualClock,
} from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { systemRandom } from '../../src/ports/random.ts'
import { systemClock } from '../../src/ports/system-clock.ts'

describe('memoryBlobs', () => {
  it.each(
    blobsConformance(async () => ({ blobs: memoryBlobs() })).map(({ name, run }) => [name, run] as const),
  )('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})

describe('memoryCache', () => {
  it.each(
    cacheConformance(async () => ({ cache: memoryCache() })).map(({ name, run }) => [name, run] as const),
  )('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })

  const entry = (runId: string): CacheEntry => ({ value: Uint8Array.of(1), runId, expires: undefined })
  const byReference = (): Cache => {
    const entries = new Map<string, CacheEntry>()
    return {
      get: async (key) => entries.get(key),
      put: async (key, put) => void entries.set(key, put),
      delete: async (key) => void entries.delete(key),
    }
  }
  const holding = async (keep: number, ...keys: readonly string[]) => {
    const cache = memoryCache({ keep })
    for (const key of keys) await cache.put(key, entry(key))
    return cache
  }
  const has = async (cache: Pick<ReturnType<typeof memoryCache>, 'get'>, ...keys: readonly string[]) => {
    const found: string[] = []
    for (const key of keys) if ((await cache.get(key)) !== undefined) found.push(key)
    return found
  }

  it('keeps as many as it is told, and drops the oldest first', async () => {
    const cache = await holding(3, 'a', 'b', 'c', 'd', 'e')
    expect(await has(cache, 'a', 'b', 'c', 'd', 'e')).toEqual(['c', 'd', 'e'])
    expect(await has(await holding(1, 'a', 'b'), 'a', 'b')).toEqual(['b'])
  })

  it('counts reading and putting again as use: what was not used for longest goes first', async () => {
    const cache = await holding(3, 'a', 'b', 'c')
    await cache.get('a')
    await cache.put('b', entry('b again'))
    await cache.put('d', entry('d'))
    expect(await has(cache, 'a', 'b', 'c', 'd')).toEqual(['a', 'b', 'd'])
    expect((await cache.get('b'))?.runId).toBe('b again')
  })

  it('drops nothing where an entry takes the place of another, or one was deleted', async () => {
    const cache = await holding(2, 'a', 'b')
    await cache.put('b', entry('b'))
    expect(await has(cache, 'a', 'b')).toEqual(['a', 'b'])
    await cache.delete('a')
    await cache.put('c', entry('c'))
    expect(await has(cache, 'a', 'b', 'c')).toEqual(['b', 'c'])
  })

  it('is not used by asking for what is not there', async () => {
    const cache = await holding(2, 'a', 'b')
    for (let time = 0; time < 5; time++) await cache.get('unknown')
    expect(await has(cache, 'a', 'b')).toEqual(['a', 'b'])
  })

  it.each<[string, (cache: Cache) => Partial<Cache>]>([
    ['gives the very bytes that it was given', () => byReference()],
    [
      'forgets an entry once it was read',
      (cache) => ({
        get: async (key) => {
          const found = await cache.get(key)
          await cache.delete(key)
          return found
        },
      }),
    ],
    [
      'hides what has expired',
      (cache) => ({
        get: async (key) => {
          const found = await cache.get(key)
          return found?.expires === undefined || found.expires > Date.now() ? found : undefined
        },
      }),
    ],
    [
      'drops the time',
      (cache) => ({ put: (key, { value, runId }) => cache.put(key, { value, runId, expires: undefined }) }),
    ],
    [
      'keeps the first entry',
      (cache) => ({
        put: async (key, put) => {
          if ((await cache.get(key)) === undefined) await cache.put(key, put)
        },
      }),
    ],
    [
      'takes keys of one beginning for one',
      (cache) => ({
        get: (key) => cache.get(key.slice(0, 1)),
        put: (key, put) => cache.put(key.slice(0, 1), put),
      }),
    ],
    [
      'stores all of the buffer behind a view',
      (cache) => ({
        put: (key, put) => cache.put(key, { ...put, value: new Uint8Array(put.value.buffer) }),
      }),
    ],
    ['deletes nothing', () => ({ delete: async () => undefined })],
    [
      'rejects for what is not there',
      (cache) => ({
        get: async (key) => {
          const found = await cache.get(key)
          if (found === undefined) throw new RangeError('not found')
          return found
        },
      }),
    ],
    [
      'gives null for what is not there',
      (cache) => ({
        get: async (key) => (await cache.get(key)) ?? (null as unknown as undefined),
      }),
    ],
  ])('the suite refuses a cache that %s', async (_, broken) => {
    const cases = cacheConformance(async () => {
      const cache = memoryCache()
      return { cache: { ...cache, ...broken(cache) } }
    })
    const ends = await Promise.allSettled(cases.map(({ run }) => run()))
    expect(ends.map(({ status }) => status)).toContain('rejected')
  })

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '3'])('refuses to keep %s', (keep) => {
    expect(() => memoryCache({ keep: keep as number })).toThrow(
      expect.objectContaining({
        code: 'INVALID_OPTION',
        message: expect.stringMatching(/`keep`.*at least 1/),
      }),
    )
  })
})

describe('memoryMailbox', () => {
  const open = async () => ({ mailbox: memoryMailbox() })
  it.each(mailboxConformance(open).map(({ name, run }) => [name, run] as const))('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })

  it.each<[string, (mailbox: Mailbox) => Partial<Mailbox>]>([
    [
      'receives a message twice',
      (mailbox) => ({ send: (message) => mailbox.send({ ...message, id: `${message.id}${Math.random()}` }) }),
    ],
    [
      'gives the newest first',
      (mailbox) => ({ pending: async (run) => (await mailbox.pending(run)).toReversed() }),
    ],
    ['forgets nothing', () => ({ confirm: async () => undefined })],
    ['forgets all for one', (mailbox) => ({ confirm: (run) => mailbox.clear(run) })],
    ['tells nobody', () => ({ subscribe: () => () => undefined })],
    [
      'tells before it has stored',
      (mailbox) => {
        const listeners = new Set<Parameters<Mailbox['subscribe']>[0]>()
        return {
          subscribe: (listener) => {
            listeners.add(listener)
            return () => void listeners.delete(listener)
          },
          send: async (message) => {
            for (const listener of listeners) listener(message)
            await Promise.resolve()
            await mailbox.send(message)
          },
        }
      },
    ],
    [
      'goes on telling',
      (mailbox) => ({ subscribe: (listener) => (mailbox.subscribe(listener), () => undefined) }),
    ],
    [
      'gives the same flow runs first again and again',
      (mailbox) => ({ addressees: async (limit) => (await mailbox.addressees?.(limit)) ?? [] }),
    ],
    [
      'mixes flow runs up',
      (mailbox) => ({
        send: (message) => mailbox.send({ ...message, flowRunId: 'run' }),
        pending: () => mailbox.pending('run'),
      }),
    ],
  ])('the suite refuses a mailbox that %s', async (_, broken) => {
    const cases = mailboxConformance(async () => {
      const mailbox = memoryMailbox()
      return { mailbox: { ...mailbox, ...broken(mailbox) }, patienceMs: 500 }
    })
    const ends = await Promise.allSettled(cases.map(({ run }) => run()))
    expect(ends.map(({ status }) => status)).toContain('rejected')
  })
})

describe('nodesConformance', () => {
  const register = (): Nodes => {
    const names = new Set<string>()
    return {
      async announce(node) {
        if (names.has(node)) throw new JournalError('NODE_IN_USE', 'in use')
        names.add(node)
      },
      gone: async (nodes) => nodes.filter((node) => !names.has(node)),
      withdraw: async (node) => void names.delete(node),
    }
  }

  it('takes a register that keeps its promises', async () => {
    const cases = nodesConformance(async () => ({ nodes: register() }))
    await expect(Promise.all(cases.map(({ run }) => run()))).resolves.toHaveLength(cases.length)
  })

  it.each<[string, (nodes: Nodes) => Partial<Nodes>]>([
    ['takes a name twice', (nodes) => ({ announce: (node) => nodes.announce(node).catch(() => undefined) })],
    ['never says that one is gone', () => ({ gone: async () => [] })],
    ['says that all are gone', () => ({ gone: async (nodes) => nodes })],
    ['keeps names for ever', () => ({ withdraw: async () => undefined })],
    [
      'refuses with another error',
      (nodes) => ({
        announce: (node) => nodes.announce(node).catch(() => Promise.reject(new TypeError('no'))),
      }),
    ],
  ])('refuses a register that %s', async (_, broken) => {
    const cases = nodesConformance(async () => {
      const nodes = register()
      return { nodes: { ...nodes, ...broken(nodes) } }
    })
    const ends = await Promise.allSettled(cases.map(({ run }) => run()))
    expect(ends.map(({ status }) => status)).toContain('rejected')
  })
})

describe('systemClock', () => {
  it.each(
    clockConformance(async () => ({ clock: systemClock() })).map(({ name, run }) => [name, run] as const),
  )('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})

describe('virtualClock', () => {
  const open = async () => {
    const clock = virtualClock()
    return { clock, settle: <T>(promise: Promise<T>) => clock.run(promise) }
  }
  it.each(clockConformance(open).map(({ name, run }) => [name, run] as const))('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })

  it('stands still until it is told to go on', async () => {
    const clock = virtualClock(1_000)
    const called: number[] = []
    for (const ms of [30, 10, 20]) clock.at(1_000 + ms, () => called.push(clock.now()))
    await new Promise((resolve) => setImmediate(resolve))
    expect([clock.now(), clock.waiting, called]).toEqual([1_000, 3, []])
    clock.advance(20)
    expect([clock.now(), clock.waiting, called]).toEqual([1_020, 1, [1_010, 1_020]])
    expect(clock.advanceToNext()).toBe(true)
    expect([clock.now(), called]).toEqual([1_030, [1_010, 1_020, 1_030]])
    expect(clock.advanceToNext()).toBe(false)
  })

  it('lets the event loop come to rest before it moves on, also where it runs several promises', async () => {
    const clock = virtualClock(0)
    const seen: string[] = []
    const afterTurns = async (): Promise<void> => {
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
      seen.push(`turns after ${clock.now()}`)
    }
    const first = new Promise<void>((resolve) => void clock.at(10, () => resolve(afterTurns())))
    const second = new Promise<void>((resolve) => void clock.at(20, resolve))
    await Promise.all([clock.run(first), clock.run(second)])
    expect(seen).toEqual(['turns after 10'])
  })

  it('gives back what a promise that it runs rejects with', async () => {
    const clock = virtualClock()
    const failing = new Promise(
      (_, reject) => void clock.at(clock.now() + 60_000, () => reject(new TypeError('no'))),
    )
    await expect(clock.run(failing)).rejects.toThrow(TypeError)
  })
})

describe('systemRandom', () => {
  it.each(
    randomConformance(async () => ({ random: systemRandom() })).map(({ name, run }) => [name, run] as const),
  )('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })
})

describe('seededRandom', () => {
  it.each(
    randomConformance(async () => ({ random: seededRandom(7) })).map(({ name, run }) => [name, run] as const),
  )('%s', async (_, run) => {
    await expect(run()).resolves.toBeUndefined()
  })

  const words = (seed: number) => {
    const random = seededRandom(seed)
    return Array.from({ length: 6 }, () => random.uint32())
  }

  it('draws the same for the same seed, of which the low 32 bits count', () => {
    expect(words(42)).toEqual(words(42))
    expect(words(2 ** 32 + 42)).toEqual(words(42))
    expect(words(-1)).toEqual(words(2 ** 32 - 1))
    expect(words(43)).not.toEqual(words(42))
  })
})
