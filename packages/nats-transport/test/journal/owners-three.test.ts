import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { clusterVersions, useCluster } from '../servers/index.ts'
import { all, claimed, create, nodeAt, note, wordsOf, type Entry, type TestNode } from '../support.ts'

/**
 * Replicated streams of old servers store several messages at once that expect the same one before them, and acknowledge all of
 * them. One must count, for its writer and for everybody else.
 */
describe.each(clusterVersions)('owners at the same moment, on three of the %s server', (version) => {
  const cluster = useCluster({ version })
  let nodes: TestNode[] = []

  beforeAll(() => {
    const [first, ...others] = cluster().servers
    const one = nodeAt({ servers: first?.url ?? '', replicas: 3 })
    const { namespace } = one
    nodes = [one, ...others.map(({ url }) => nodeAt({ servers: url, replicas: 3, namespace }))]
  })
  afterAll(async () => {
    for (const node of nodes) await node.close()
  })

  const journals = (): TestNode['journal'][] => nodes.map(({ journal }) => journal)

  it('are refused but for one, in every round, and all read and hear the same', async () => {
    const [one, two] = journals()
    if (one === undefined || two === undefined) throw new TypeError('no nodes')
    await create(one, 'run')
    const told = { run: [] as string[], all: [] as string[] }
    two.subscribe((_, __, entries) => told.run.push(...wordsOf(entries)), 'run')
    two.subscribe((id, __, entries) => told.all.push(...(id === 'run' ? wordsOf(entries) : [])))
    await two.summary('run')
    const words: string[] = []
    let position = 2
    for (let round = 0; round < 40; round++) {
      const batches = journals().map((_, index): Entry[] =>
        Array.from({ length: 1 + ((index + round) % 3) }, (__, n) => note(`${round} ${index} ${n}`)),
      )
      const answers = await Promise.all(
        journals().map((journal, index) =>
          journal.append({ flowRunId: 'run', expected: position, epoch: 1, entries: batches[index] ?? [] }),
        ),
      )
      const winners = batches.filter((_, index) => answers[index] === undefined)
      expect(winners, `round ${round}`).toHaveLength(1)
      words.push(...wordsOf(winners.flat()))
      position += winners.flat().length
      const refused = answers.filter((answer) => answer !== undefined)
      expect(refused).toEqual(refused.map(() => ({ refused: true, position })))
    }
    for (const journal of journals()) {
      expect(wordsOf(await all(journal, 'run', 7))).toEqual(words)
      expect(await journal.summary('run')).toMatchObject({ position })
    }
    expect(await two.list({ limit: 10 })).toMatchObject([{ flowRunId: 'run', position }])
    const fresh = nodeAt({ servers: cluster().urls, namespace: nodes[0]?.namespace ?? '', replicas: 3 })
    expect(await fresh.journal.list({ limit: 10 })).toMatchObject([{ flowRunId: 'run', position }])
    expect(wordsOf(await fresh.journal.read('run', 3 + 40, 10))).toEqual(words.slice(40, 50))
    await fresh.close()
    const last = { flowRunId: 'run', expected: position, epoch: 1, entries: [note('last')] }
    expect(await two.append(last)).toBeUndefined()
    expect(told).toEqual({ run: [...words, 'last'], all: [...words, 'last'] })
  }, 60_000)

  it('of which one claims the run: the owner before goes on if it was first, and else is refused', async () => {
    const [one, two] = journals()
    if (one === undefined || two === undefined) throw new TypeError('no nodes')
    let [kept, taken] = [0, 0]
    for (let round = 0; round < 20; round++) {
      const flowRunId = `claimed-${round}`
      await create(one, flowRunId)
      const entries = [note('own')]
      const claim = { flowRunId, expected: 2, epoch: 2, entries: [claimed(2, 'node-b')] }
      const [own, other] = await Promise.all([
        one.append({ flowRunId, expected: 2, epoch: 1, entries }),
        two.append(claim),
      ])
      expect([own, other].filter((answer) => answer === undefined)).toHaveLength(1)
      const next = await one.append({ flowRunId, expected: 3, epoch: 1, entries: [note('next')] })
      const isKept = own === undefined
      if (isKept) kept++
      else taken++
      expect(next).toEqual(isKept ? undefined : { refused: true, position: 3 })
      expect(wordsOf(await all(two, flowRunId))).toEqual(isKept ? ['own', 'next'] : [])
      // The other one claims it now where it was too late before.
      if (isKept) await two.append({ ...claim, expected: 4 })
      expect((await one.summary(flowRunId))?.epoch).toBe(2)
    }
    expect(kept + taken).toBe(20)
  }, 60_000)
})
