import { beforeAll, describe, expect, it } from 'vitest'
import { useServer, versions } from '../servers/index.ts'
import { append, claimed, create, moved, nodeAt, note, root, wordsOf, type TestNode } from '../support.ts'

const records = 3_000

describe.each(versions)('a long journal on the %s server', (version) => {
  const server = useServer({ version })
  let namespace: string
  /** Entries after the root, as words. */
  const words: string[] = []

  /** A node that knows nothing yet. */
  const fresh = (): TestNode => nodeAt({ servers: server().url, namespace })

  beforeAll(async () => {
    const writer = nodeAt({ servers: server().url })
    ;({ namespace } = writer)
    await create(writer.journal, 'long')
    const others = Array.from({ length: 4 }, (_, index) => `other-${index}`)
    for (const other of others) await create(writer.journal, other)
    let positions = 2
    for (let record = 0; record < records; record++) {
      // Records of other flow runs lie between, more of them in the second half.
      const batch = Array.from({ length: 1 + (record % 3) }, (_, index) => `${record}.${index}`)
      const appends = [append(writer.journal, 'long', 2 + words.length, batch.map(note))]
      if (record > records / 2)
        for (const other of others) appends.push(append(writer.journal, other, positions, [note('x')]))
      if (record > records / 2) positions++
      const refused = (await Promise.all(appends)).filter((answer) => answer !== undefined)
      if (refused.length > 0) throw new TypeError(`record ${record} was refused`)
      words.push(...batch)
    }
    await writer.close()
  }, 120_000)

  it('is read whole, page by page', async () => {
    const node = fresh()
    const read: string[] = []
    for (let from = 1; ; from += 1_000) {
      const page = await node.journal.read('long', from, 1_000)
      read.push(...wordsOf(page))
      if (page.length < 1_000) break
    }
    await node.close()
    expect(read).toEqual(words)
  })

  it('is read from any position, with few messages, by a node that knows nothing of it', async () => {
    for (const from of [words.length, words.length - 700, 3_333, 1_111, 100, 3]) {
      const node = fresh()
      await node.journal.summary('long')
      const { nc } = await node.link.bulk()
      const before = nc.stats().inMsgs
      const page = await node.journal.read('long', from, 10)
      const messages = nc.stats().inMsgs - before
      await node.close()
      expect(wordsOf(page)).toEqual(words.slice(from - 3, from + 7))
      expect(messages, `from ${from}`).toBeLessThan(350)
    }
  })

  it('costs a page little where the one before it was read', async () => {
    const node = fresh()
    const { nc } = await node.link.bulk()
    let [from, most] = [1_000, 0]
    await node.journal.read('long', from, 20)
    for (let page = 0; page < 30; page++) {
      from += 20
      const before = nc.stats().inMsgs
      expect(wordsOf(await node.journal.read('long', from, 20))).toEqual(words.slice(from - 3, from + 17))
      most = Math.max(most, nc.stats().inMsgs - before)
    }
    await node.close()
    expect(most).toBeLessThan(40)
  })

  it('is asked for what is new by one message where there is nothing or little', async () => {
    const node = fresh()
    const end = words.length + 2
    await node.journal.read('long', end, 10)
    const { nc } = await node.link.bulk()
    const before = nc.stats().inMsgs
    expect(await node.journal.read('long', end + 1, 1_000)).toEqual([])
    expect(await node.journal.read('long', end, 1_000)).toHaveLength(1)
    expect(nc.stats().inMsgs - before).toBe(2)
    await node.close()
  })
})

describe.each(versions)('ten thousand flow runs on the %s server', (version) => {
  const server = useServer({ version })

  it('are listed in the order of creation, with one message each the first time and few afterwards', async () => {
    const count = 10_000
    const writer = nodeAt({ servers: server().url })
    const ids = Array.from({ length: count }, (_, index) => `run-${(index * 7919) % count}`)
    for (let at = 0; at < count; at += 200) {
      const some = ids.slice(at, at + 200)
      await Promise.all(
        some.map((id) => append(writer.journal, id, 0, [claimed(), root(id, { tags: ['täg'] })])),
      )
    }
    await Promise.all(ids.slice(0, 100).map((id) => append(writer.journal, id, 2, [moved('Completed')])))

    const node = nodeAt({ servers: server().url, namespace: writer.namespace })
    const { nc } = await node.link.bulk()
    const messages = async (ask: () => Promise<void>): Promise<number> => {
      const before = nc.stats().inMsgs
      await ask()
      return nc.stats().inMsgs - before
    }
    const listed: string[] = []
    const first = await messages(async () => {
      for (let after = 0; ;) {
        const page = await node.journal.list({ limit: 1_000, after })
        listed.push(...page.map(({ flowRunId }) => flowRunId))
        if (page.length < 1_000) break
        after = page.at(-1)?.order ?? 0
      }
    })
    expect(listed).toHaveLength(count)
    // Those of one round trip were created in any order.
    for (let at = 0; at < count; at += 200)
      expect(listed.slice(at, at + 200).toSorted()).toEqual(ids.slice(at, at + 200).toSorted())
    expect(first).toBeLessThan(count * 1.1)
    const unfinished = await node.journal.list({ limit: count, ended: false })
    expect(unfinished).toHaveLength(count - 100)
    expect(unfinished[0]?.tags).toEqual(['täg'])

    await append(writer.journal, 'run-0', 3, [note('late')])
    const again = await messages(async () => {
      expect(await node.journal.list({ limit: count, ended: true })).toHaveLength(100)
    })
    expect(again).toBeLessThan(20)
    await node.close()
    await writer.close()
  }, 60_000)
})
