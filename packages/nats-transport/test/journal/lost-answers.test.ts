import { afterAll, beforeAll, expect, it } from 'vitest'
import { clusterVersions, onEach, useCluster, useServer } from '../servers/index.ts'
import { Proxy } from '../faults/harness/proxy.ts'
import { all, append, claimed, create, nodeAt, note, root, wordsOf, type TestNode } from '../support.ts'

/** All four kinds of server answer a repeated message in their own way: nats.md, 3.2. */
onEach('an append whose answer is lost, on the %s server', 'alone', (version) => {
  const server = useServer({ version })
  cases(() => server().url, 1)
})

onEach(
  'an append whose answer is lost, on the %s server',
  'of three',
  (version) => {
    const cluster = useCluster({ version })
    cases(() => cluster().servers[0]?.url ?? '', 3)
  },
  { on: clusterVersions },
)

/** Loses so many answers to publishes, yes or no. Resolves when they are lost. */
function loseAnswers(proxy: Proxy, count: number): Promise<void> {
  return new Promise((resolve) => {
    let left = count
    proxy.intercept = ({ to, frame }) => {
      if (left === 0 || to === 'server') return 'pass'
      const text = frame.payload.toString()
      // Both name the stream, and a sequence.
      const isAnswer = text.includes('"stream":') && text.includes('"seq":') && !text.includes('"config":')
      if (!isAnswer) return 'pass'
      left--
      if (left === 0) resolve()
      return 'drop'
    }
  })
}

function cases(url: () => string, replicas: number): void {
  let wire: Proxy
  let node: TestNode
  let observer: TestNode
  beforeAll(async () => {
    wire = await Proxy.open(url())
    node = nodeAt({ servers: wire.url, replicas })
    observer = nodeAt({ servers: url(), namespace: node.namespace, replicas })
  }, 60_000)
  afterAll(async () => {
    await node.close()
    await observer.close()
    await wire.close()
  })

  it('creates a journal once', async () => {
    await node.journal.summary('warm')
    const lost = loseAnswers(wire, 1)
    await create(node.journal, 'created')
    await lost
    expect(await all(observer.journal, 'created')).toMatchObject([{ kind: 'claimed' }, { kind: 'submitted' }])
    expect(await append(node.journal, 'created', 2, [note('next')])).toBeUndefined()
  })

  it('adds to a journal once, however many answers are lost', async () => {
    await create(node.journal, 'added')
    const lost = loseAnswers(wire, 2)
    expect(await append(node.journal, 'added', 2, [note('once')])).toBeUndefined()
    await lost
    expect(await append(node.journal, 'added', 3, [note('then')])).toBeUndefined()
    expect(wordsOf(await all(observer.journal, 'added'))).toEqual(['once', 'then'])
  })

  it('is refused where another writer was there first', async () => {
    await create(node.journal, 'raced')
    const lost = loseAnswers(wire, 1)
    // Another owner takes over between the append and its repetition.
    const late = append(node.journal, 'raced', 2, [note('stored')])
    await lost
    const takeover = { flowRunId: 'raced', expected: 3, epoch: 2, entries: [claimed(2, 'node-b')] }
    expect(await observer.journal.append(takeover)).toBeUndefined()
    expect(await late).toEqual({ refused: true, position: 4 })
    expect(await append(node.journal, 'raced', 3, [note('zombie')])).toEqual({ refused: true, position: 4 })
    expect(wordsOf(await all(observer.journal, 'raced'))).toEqual(['stored'])
  })

  it('of one that creates, is refused where another one created', async () => {
    const own = append(node.journal, 'contended', 0, [claimed(), root('contended'), note('own')])
    const other = append(observer.journal, 'contended', 0, [claimed(), root('contended'), note('other')])
    const answers = await Promise.all([own, other])
    expect(answers.filter((answer) => answer === undefined)).toHaveLength(1)
    expect(answers).toContainEqual({ refused: true, position: 3 })
  })

  it('is told once to those who follow', async () => {
    await create(node.journal, 'followed')
    const told: string[] = []
    const end = node.journal.subscribe(
      (_, first, entries) => told.push(`${first} ${wordsOf(entries).join()}`),
      'followed',
    )
    await node.journal.summary('followed')
    const lost = loseAnswers(wire, 1)
    await append(node.journal, 'followed', 2, [note('a')])
    await lost
    await append(node.journal, 'followed', 3, [note('b')])
    end()
    expect(told).toEqual(['3 a', '4 b'])
  })
}
