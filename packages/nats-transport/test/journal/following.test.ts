import type { Clock } from '@troupe/core'
import { afterEach, describe, expect, it } from 'vitest'
import { Proxy, type Passing } from '../faults/harness/proxy.ts'
import { useServer, versions } from '../servers/index.ts'
import { append, create, machineClock, moved, nodeAt, note, wordsOf, type TestNode } from '../support.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close()
})

function node(
  servers: string,
  options: Omit<Parameters<typeof nodeAt>[0], 'servers'> = {},
  clock: Clock = machineClock,
): TestNode {
  const made = nodeAt({ servers, ...options }, { clock })
  closing.push(() => made.close())
  return made
}

async function proxyTo(url: string): Promise<Proxy> {
  const proxy = await Proxy.open(url)
  closing.push(() => proxy.close())
  return proxy
}

/** What is told of some runs, as `run@position words`. */
function follow({ journal }: TestNode, flowRunId?: string): Followed {
  const told: string[] = []
  let look = (): void => undefined
  const end = journal.subscribe((run, first, entries) => {
    told.push(`${run}@${first} ${wordsOf(entries).join()}`)
    look()
  }, flowRunId)
  return {
    told,
    end,
    reached: (what) =>
      new Promise((resolve) => {
        look = () => {
          if (typeof what === 'number' ? told.length >= what : told.includes(what)) resolve()
        }
        look()
      }),
  }
}

/** A run, who follows it by way of a proxy, and who writes it. */
async function following(url: string, of: string | undefined, clock?: Clock) {
  const proxy = await proxyTo(url)
  const follower = node(proxy.url, {}, clock)
  const writer = node(url, { namespace: follower.namespace })
  await create(writer.journal, 'run')
  const followed = follow(follower, of)
  await follower.journal.summary('run')
  return { proxy, follower, writer, followed }
}

interface Followed {
  readonly told: string[]
  readonly end: () => void
  /** Resolves when so many came, or a line. */
  reached(what: number | string): Promise<void>
}

/** Appends notes to a run that has its root, one by one. @returns What is told of them. */
async function write({ journal }: TestNode, run: string, from: number, count: number): Promise<string[]> {
  const lines: string[] = []
  for (let position = from; position < from + count; position++) {
    expect(await append(journal, run, position - 1, [note(`n${position}`)])).toBeUndefined()
    lines.push(`${run}@${position} n${position}`)
  }
  return lines
}

/** A clock on which that comes soon which comes every 15 s: the look of a node at the stream of journals. */
const hurried: Clock = {
  ...machineClock,
  at: (deadline, fn) => {
    const now = Date.now()
    const isLook = Math.abs(deadline - now - 15_000) <= 100
    return machineClock.at(isLook ? now + 50 : deadline, fn)
  },
}

const isNews = ({ to, frame }: Passing): boolean => to === 'client' && frame.subject.includes('.live.ev.')

describe.each(versions)('those who follow, on the %s server', (version) => {
  const server = useServer({ version })

  it.each([
    ['one flow run', 'run'],
    ['all flow runs', undefined],
  ])('%s: are told what they missed, in order and once, where messages to them are lost', async (_, of) => {
    const { proxy, writer, followed } = await following(server().url, of)
    let seen = 0
    const all = new Promise<void>((resolve) => {
      // Every third one arrives; in the end one does.
      proxy.intercept = (passing) => {
        if (!isNews(passing)) return 'pass'
        if (++seen === 60) resolve()
        return seen % 3 === 0 ? 'pass' : 'drop'
      }
    })
    const lines = await write(writer, 'run', 3, 60)
    // They come by another connection than the acknowledgements.
    await all
    proxy.intercept = () => 'pass'
    lines.push(...(await write(writer, 'run', 63, 1)))
    await followed.reached(lines.length)
    expect(proxy.disturbed).toBeGreaterThanOrEqual(40)
    expect(followed.told).toEqual(lines)
  })

  it.each([
    ['one flow run', 'run'],
    ['all flow runs', undefined],
  ])(
    '%s: are told after a reconnect what came in the meantime, though nothing comes any more',
    async (_, of) => {
      const { proxy, writer, followed } = await following(server().url, of)
      const lines = await write(writer, 'run', 3, 5)
      await followed.reached(5)
      proxy.cut()
      lines.push(...(await write(writer, 'run', 8, 700)))
      proxy.heal()
      await followed.reached(lines.length)
      expect(followed.told).toEqual(lines)
    },
  )

  it.each([
    ['one flow run', 'run'],
    ['all flow runs', undefined],
  ])('%s: are told what they missed where all messages to them are lost, and no more come', async (_, of) => {
    const { proxy, writer, followed } = await following(server().url, of, hurried)
    proxy.intercept = (passing) => (isNews(passing) ? 'drop' : 'pass')
    const lines = await write(writer, 'run', 3, 5)
    await followed.reached(lines.length)
    expect(followed.told).toEqual(lines)
    lines.push(...(await write(writer, 'run', 8, 1)))
    await writer.journal.delete('run')
    await followed.reached('run@0 ')
    // What was deleted can't be read any more, where it was not read before.
    const last = lines.pop()
    expect(followed.told.filter((line) => line !== last)).toEqual([...lines, 'run@0 '])
  })

  it('are told of the news that were lost of each flow run, also where more are followed than are looked after at a time', async () => {
    const proxy = await proxyTo(server().url)
    const follower = node(proxy.url, {}, hurried)
    const writer = node(server().url, { namespace: follower.namespace })
    const runs = Array.from({ length: 250 }, (_, n) => `run${n}`)
    for (const run of runs) await create(writer.journal, run)
    const followed = runs.map((run) => follow(follower, run))
    await follower.journal.summary('run0')
    proxy.intercept = (passing) => (isNews(passing) ? 'drop' : 'pass')
    const lines = await Promise.all(runs.map((run) => write(writer, run, 3, 1)))
    for (const [index, one] of followed.entries()) {
      await one.reached(1)
      expect(one.told).toEqual(lines[index])
    }
  })

  it('ask nothing more of flow runs while nothing is stored', async () => {
    const proxy = await proxyTo(server().url)
    const follower = node(proxy.url, {}, hurried)
    const writer = node(server().url, { namespace: follower.namespace })
    const asked = { looks: 0, messages: 0 }
    let look = (): void => undefined
    proxy.intercept = ({ to, frame }) => {
      if (to === 'server' && frame.subject.startsWith('$JS.API.STREAM.INFO.')) asked.looks++
      if (to === 'server' && frame.subject.startsWith('$JS.API.STREAM.MSG.GET.')) asked.messages++
      look()
      return 'pass'
    }
    const looks = (count: number): Promise<void> =>
      new Promise((resolve) => {
        look = () => {
          if (asked.looks >= count) resolve()
        }
        look()
      })
    for (const run of ['a', 'b', 'c']) {
      await create(writer.journal, run)
      follow(follower, run)
    }
    await follower.journal.summary('a')
    const before = asked.messages
    await looks(asked.looks + 10)
    // Each of them looked once.
    const after = asked.messages
    expect(after - before).toBeGreaterThanOrEqual(3)
    await looks(asked.looks + 10)
    expect(asked.messages).toBe(after)
  })

  it('have one subscription for each flow run, however many they are, and none when the last has left', async () => {
    const proxy = await proxyTo(server().url)
    const follower = node(proxy.url)
    await create(follower.journal, 'run')
    const said: string[] = []
    proxy.intercept = ({ to, frame }) => {
      const text = frame.raw.toString()
      if (to === 'server' && frame.op === 'SUB' && text.includes('.live.ev.')) said.push('sub')
      if (to === 'server' && frame.op === 'UNSUB') said.push('unsub')
      return 'pass'
    }
    const followers = Array.from({ length: 5 }, () => follow(follower, 'run'))
    await follower.journal.summary('run')
    await write(follower, 'run', 3, 1)
    expect(followers.map(({ told }) => told)).toEqual(followers.map(() => ['run@3 n3']))
    for (const { end } of followers.slice(1)) end()
    await write(follower, 'run', 4, 1)
    expect(followers.map(({ told }) => told.length)).toEqual([2, 1, 1, 1, 1])
    expect(said).toEqual(['sub'])
    followers[0]?.end()
    await follower.journal.summary('run')
    expect(said).toEqual(['sub', 'unsub'])
  })

  it('let go of what they can’t take at once, and read it in its turn', async () => {
    const proxy = await proxyTo(server().url)
    const follower = node(proxy.url, { largeValue: 1_000 })
    const writer = node(server().url, { namespace: follower.namespace, largeValue: 1_000 })
    await create(writer.journal, 'run')
    const followed = follow(follower, 'run')
    await follower.journal.summary('run')
    // A large value takes long to come; more than is kept waits behind it.
    const isChunk = ({ to, frame }: Passing): boolean =>
      to === 'client' && frame.payload.includes('"nuid"') === false && frame.payload.length > 6_000
    let [isHeld, release] = [false, (): void => undefined]
    proxy.intercept = (passing) => {
      if (isHeld || !isChunk(passing)) return 'pass'
      isHeld = true
      proxy.part()
      release()
      return 'pass'
    }
    const held = new Promise<void>((resolve) => (release = resolve))
    const value = new Uint8Array(8_000).fill(7)
    await append(writer.journal, 'run', 2, [moved('Running', { value })])
    await held
    const lines = ['run@3 ', ...(await write(writer, 'run', 4, 1_500))]
    proxy.heal()
    await followed.reached(lines.length)
    expect(followed.told).toEqual(lines)
  })

  it('are told in the order of commits, whichever node commits', async () => {
    const one = node(server().url)
    const other = node(server().url, { namespace: one.namespace })
    await create(one.journal, 'a')
    await create(other.journal, 'b')
    const followed = [follow(one), follow(other)]
    await one.journal.summary('a')
    await other.journal.summary('a')
    const lines: string[] = []
    for (let n = 0; n < 30; n++) {
      lines.push(...(await write(one, 'a', 3 + n, 1)))
      lines.push(...(await write(other, 'b', 3 + n, 1)))
    }
    for (const follower of followed) {
      await follower.reached(lines.length)
      expect(follower.told).toEqual(lines)
    }
  })

  it('miss nothing between what they read and what they are told', async () => {
    const follower = node(server().url)
    const writer = node(server().url, { namespace: follower.namespace })
    await create(writer.journal, 'run')
    for (let round = 0; round < 10; round++) {
      const writing = write(writer, 'run', 3 + round * 10, 10)
      const followed = follow(follower, 'run')
      const read = await follower.journal.read('run', 1, 10_000)
      await writing
      const end = 2 + (round + 1) * 10
      const missing = end - read.length
      if (missing > 0) await followed.reached(`run@${end} n${end}`)
      const positions = followed.told.map((line) => Number(line.split(/[@ ]/)[1]))
      // What is told begins at the latest behind what was read, and goes to the end.
      expect(positions.filter((position) => position > read.length)).toEqual(
        Array.from({ length: missing }, (_, index) => read.length + 1 + index),
      )
      followed.end()
    }
  })

  it('are told of a journal that was forgotten and made anew', async () => {
    const follower = node(server().url)
    const writer = node(server().url, { namespace: follower.namespace })
    await create(writer.journal, 'run')
    const followed = [follow(follower, 'run'), follow(follower)]
    await follower.journal.summary('run')
    await write(writer, 'run', 3, 2)
    await writer.journal.delete('run')
    await create(writer.journal, 'run')
    await write(writer, 'run', 3, 1)
    for (const one of followed) {
      await one.reached(5)
      expect(one.told).toEqual(['run@3 n3', 'run@4 n4', 'run@0 ', 'run@1 ', 'run@3 n3'])
    }
  })

  it.each([
    ['one flow run', 'run'],
    ['all flow runs', undefined],
  ])('%s: are told after a reconnect that it was forgotten in the meantime', async (_, of) => {
    const { proxy, writer, followed } = await following(server().url, of)
    const lines = await write(writer, 'run', 3, 2)
    await followed.reached(2)
    proxy.cut()
    await append(writer.journal, 'run', 4, [moved('Completed')])
    await writer.journal.delete('run')
    proxy.heal()
    await followed.reached('run@0 ')
    expect(followed.told).toEqual([...lines, 'run@0 '])
  })

  it('are told after a reconnect that a flow run was forgotten so long ago that nothing is left of it', async () => {
    const { proxy, writer, followed } = await following(server().url, 'run')
    proxy.cut()
    await writer.journal.delete('run')
    const { stream } = writer.journal
    const { jsm } = await stream.bulk()
    await jsm.streams.purge(stream.name, { filter: stream.subjectOf('run') })
    proxy.heal()
    await followed.reached(1)
    expect(followed.told).toEqual(['run@0 '])
  })

  it('are told of an end that they did not decide: a listener that throws disturbs no other', async () => {
    const follower = node(server().url)
    const thrown: unknown[] = []
    const hear = (error: unknown): void => void thrown.push(error)
    const others = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', hear)
    try {
      follower.journal.subscribe(() => {
        throw new TypeError('listener')
      })
      const followed = follow(follower)
      await create(follower.journal, 'run')
      expect(followed.told).toEqual(['run@1 '])
    } finally {
      process.off('uncaughtException', hear)
      for (const other of others) process.on('uncaughtException', other)
    }
    expect(thrown).toEqual([new TypeError('listener')])
  })
})
