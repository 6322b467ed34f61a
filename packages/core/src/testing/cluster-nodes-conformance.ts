import assert from 'node:assert/strict'
import { TroupeError } from '../base/errors.ts'
import type { ClusterNodes, NodeInfo } from '../ports/nodes.ts'
import { assertFails, casesOf, Told, type ConformanceCase, type Opened } from './conformance.ts'

/** Two nodes that a suite opens, neither announced, and nobody else there. @public */
export interface OpenedClusterNodes extends Opened {
  readonly nodes: ClusterNodes
  /** The name of that node. */
  readonly name: string
  /** What the other node has. */
  readonly others: ClusterNodes
  readonly othersName: string
  /** The node `name` dies, as a process that is killed. Resolves when it is dead. Nothing is asked of `nodes` after it. */
  readonly crash: () => Promise<void>
  /** The node `name` is closed in an orderly way. Nothing but what is refused is asked of `nodes` after it. */
  readonly leave: () => Promise<void>
}

/** Longer than any answer takes, in milliseconds: a case that waits for it is too slow. */
const long = 600_000

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const words = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString()

function infoOf(node: string): NodeInfo {
  return { node, flows: ['delays@1', "it's %_ ü@2"], queues: { main: 3, 'a queue.* >': 1 } }
}

async function announceBoth({ nodes, name, others, othersName }: OpenedClusterNodes): Promise<void> {
  await nodes.announce(name, infoOf(name))
  await others.announce(othersName)
}

const namesOf = async (nodes: ClusterNodes): Promise<string[]> =>
  (await nodes.list()).map(({ node }) => node).toSorted()

const echo = async (question: Uint8Array): Promise<Uint8Array> => text(`answer to ${words(question)}`)

/** Answers as soon as questions get there: that may take a moment from the call on. */
async function answerWith(
  { nodes, name, others }: OpenedClusterNodes,
  answer: (question: Uint8Array) => Promise<Uint8Array>,
): Promise<() => void> {
  let isThere = false
  const end = nodes.answer(name, async (question) => {
    if (words(question) !== 'there?') return answer(question)
    isThere = true
    return text('yes')
  })
  while (!isThere) await others.ask(name, text('there?'), 100)
  return end
}

type Cases = Readonly<Record<string, (opened: OpenedClusterNodes) => Promise<void>>>

const presence: Cases = {
  async 'lists the nodes that are there, with what they tell of themselves'(opened) {
    const { nodes, name, others, othersName } = opened
    assert.deepEqual([...(await nodes.list())], [])
    await announceBoth(opened)
    for (const one of [nodes, others]) {
      const found = (await one.list()).toSorted((a, b) => (a.node < b.node ? -1 : 1))
      const expected = [infoOf(name), { node: othersName, flows: [], queues: {} }]
      assert.deepEqual(
        found,
        expected.toSorted((a, b) => (a.node < b.node ? -1 : 1)),
      )
      assert.deepEqual([...(await one.gone([name, 'never', othersName]))], ['never'])
    }
  },
  async 'refuses a name that a node has, of many who ask at once, too'({ nodes, others, name }) {
    const ends = await Promise.allSettled([nodes, others].map((one) => one.announce(name)))
    assert.deepEqual(ends.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
    for (const end of ends)
      if (end.status === 'rejected') assert.ok(TroupeError.is(end.reason, 'NODE_IN_USE'), String(end.reason))
    for (const one of [nodes, others])
      await assert.rejects(one.announce(name), (error: unknown) => TroupeError.is(error, 'NODE_IN_USE'))
  },
  async 'tells the others of a node that is withdrawn'(opened) {
    const { nodes, name, others, othersName } = opened
    const told = new Told<string>()
    others.lost(told.add)
    await announceBoth(opened)
    await nodes.withdraw(name)
    assert.equal((await told.atLeast(1))[0], name)
    assert.deepEqual(await namesOf(others), [othersName])
    assert.deepEqual([...(await others.gone([name, othersName]))], [name])
    assert.ok(!told.items.includes(othersName))
    await nodes.announce(name)
    assert.deepEqual(await namesOf(others), [name, othersName].toSorted())
  },
  async 'tells every listener of a node that was closed'(opened) {
    const { nodes, name, others, othersName, leave } = opened
    const [told, again] = [new Told<string>(), new Told<string>()]
    others.lost(told.add)
    others.lost(again.add)
    await announceBoth(opened)
    await leave()
    for (const one of [told, again]) assert.equal((await one.atLeast(1))[0], name)
    assert.deepEqual(await namesOf(others), [othersName])
    await assertFails(() => nodes.list(), 'list')
    await assertFails(() => nodes.announce(name), 'announce')
    await assertFails(() => nodes.gone([name]), 'gone')
    await assertFails(() => nodes.ask(othersName, text('?'), 10), 'ask')
  },
  async 'tells of a node that is dead, which then is gone, and of no other'(opened) {
    const { name, others, othersName, crash } = opened
    const told = new Told<string>()
    others.lost(told.add)
    await announceBoth(opened)
    assert.deepEqual([...(await others.gone([name]))], [])
    await crash()
    assert.equal((await told.atLeast(1))[0], name)
    assert.deepEqual([...(await others.gone([name, othersName]))], [name])
    assert.deepEqual(await namesOf(others), [othersName])
    assert.ok(!told.items.includes(othersName))
    // Its name is free.
    await others.announce(name)
    assert.deepEqual([...(await others.gone([name]))], [])
  },
  async 'tells a listener nothing after its subscription ended'(opened) {
    const { nodes, name, others } = opened
    const [told, ended] = [new Told<string>(), new Told<string>()]
    const end = others.lost(ended.add)
    others.lost(told.add)
    await announceBoth(opened)
    end()
    end()
    await nodes.withdraw(name)
    await told.atLeast(1)
    assert.deepEqual(ended.items, [])
  },
}

const talk: Cases = {
  async 'brings a question to the node, and its answer back, with every byte'(opened) {
    const { name, others } = opened
    await announceBoth(opened)
    await answerWith(opened, async (question) => question.toReversed())
    const large = new Uint8Array(100_000).map((_, index) => index % 251)
    for (const bytes of [large, text(''), Uint8Array.of(0, 255, 10, 13)]) {
      const answer = await others.ask(name, bytes, long)
      assert.ok(answer instanceof Uint8Array)
      assert.equal(Buffer.compare(answer, bytes.toReversed()), 0)
    }
  },
  async 'takes a question of a node to itself'(opened) {
    const { nodes, name } = opened
    await announceBoth(opened)
    await answerWith(opened, echo)
    assert.equal(words(await nodes.ask(name, text('me'), long)), 'answer to me')
  },
  async 'gives each of many questions its own answer, in whichever order they are answered'(opened) {
    const { name, others } = opened
    await announceBoth(opened)
    const waiting: (() => void)[] = []
    await answerWith(opened, async (question) => {
      await new Promise<void>((resolve) => {
        if (waiting.push(resolve) === 20) for (const go of waiting.toReversed()) go()
      })
      return echo(question)
    })
    const questions = Array.from({ length: 20 }, (_, index) => `q${index}`)
    const answers = await Promise.all(questions.map((question) => others.ask(name, text(question), long)))
    assert.deepEqual(
      answers.map(words),
      questions.map((question) => `answer to ${question}`),
    )
  },
  async 'answers nothing for a node that is not there, or has left'(opened) {
    const { nodes, name, others } = opened
    assert.equal(await others.ask('never', text('?'), long), undefined)
    await announceBoth(opened)
    await answerWith(opened, echo)
    assert.equal(words(await others.ask(name, text('?'), long)), 'answer to ?')
    await nodes.withdraw(name)
    await opened.leave()
    assert.equal(await others.ask(name, text('?'), long), undefined)
  },
  async 'answers nothing in place of an answer that does not come in time, or is never given'(opened) {
    const { name, others } = opened
    await announceBoth(opened)
    const late = new Told<() => void>()
    await answerWith(opened, async (question) => {
      if (words(question) === 'throws') throw new RangeError('no answer')
      if (words(question) === 'late') await new Promise<void>((resolve) => late.add(resolve))
      return echo(question)
    })
    assert.equal(await others.ask(name, text('late'), 100), undefined)
    assert.equal(await others.ask(name, text('throws'), 100), undefined)
    const [go] = await late.atLeast(1)
    const next = others.ask(name, text('next'), long)
    go?.()
    assert.equal(words(await next), 'answer to next')
  },
  async 'brings a question once'(opened) {
    const { name, others } = opened
    await announceBoth(opened)
    const asked: (string | undefined)[] = []
    await answerWith(opened, async (question) => {
      asked.push(words(question))
      return echo(question)
    })
    for (const question of ['a', 'b', 'c']) await others.ask(name, text(question), long)
    assert.deepEqual(asked, ['a', 'b', 'c'])
  },
  async 'asks nobody who has ended that'(opened) {
    const { name, others } = opened
    await announceBoth(opened)
    let count = 0
    const end = await answerWith(opened, async (question) => {
      count++
      return question
    })
    assert.equal(words(await others.ask(name, text('a'), long)), 'a')
    end()
    end()
    assert.equal(await others.ask(name, text('b'), 100), undefined)
    assert.equal(count, 1)
  },
  async 'is untouched by what callers do to bytes'(opened) {
    const { name, others } = opened
    await announceBoth(opened)
    const answer = text('answer')
    await answerWith(opened, async (question) => {
      assert.equal(words(question), 'content')
      question.fill(0)
      return answer
    })
    const bytes = text('xxcontentxx')
    const asked = others.ask(name, bytes.subarray(2, 9), long)
    bytes.fill(0)
    ;(await asked)?.fill(0)
    assert.equal(words(await others.ask(name, text('content'), long)), 'answer')
  },
  async 'answers nothing for a node that is dead'(opened) {
    const { name, others, crash } = opened
    await announceBoth(opened)
    await answerWith(opened, echo)
    await crash()
    assert.equal(await others.ask(name, text('?'), 100), undefined)
  },
}

/** What all nodes of a cluster are held to, besides `nodesConformance`. @public */
export function clusterNodesConformance(make: () => Promise<OpenedClusterNodes>): ConformanceCase[] {
  return casesOf(make, { ...presence, ...talk })
}
