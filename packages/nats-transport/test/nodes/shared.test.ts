/** What nodes decide together on real servers: who makes a result that all want, and who may begin. */
import { createEngine, flow, inputs, task, type Engine, type EngineOptions } from '@troupe/core'
import { afterEach, describe, expect, it } from 'vitest'
import { natsTransport } from '../../src/index.ts'
import { until } from '../faults/harness/until.ts'
import { useServer, versions } from '../servers/index.ts'
import { freshNamespace } from '../support.ts'

/** The clock of the store tells whole milliseconds, and the one that beginnings are measured with does not. */
const toleranceMs = 10

describe.each(versions)('two nodes on the %s server', { timeout: 60_000 }, (version) => {
  const server = useServer({ version })
  const closing: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0).toReversed()) await close()
  })

  async function openTwo(options: EngineOptions = {}): Promise<readonly [Engine, Engine]> {
    const namespace = freshNamespace()
    const open = (node: string): Engine => {
      const transport = natsTransport({ servers: server().url, namespace })
      const engine = createEngine({ node, transport, ...options })
      closing.push(() => engine.close())
      return engine
    }
    const [a, b] = [open('a'), open('b')]
    await Promise.all([a.announced(), b.announced()])
    return [a, b]
  }

  /** The states that the task runs of a flow run went through. */
  async function statesOf(engine: Engine, flowRunId: string): Promise<string> {
    const states: string[] = []
    for await (const { kind, to } of engine.watch({ flowRunId })) if (kind === 'task') states.push(to.name)
    return states.join(' ')
  }

  it('that call the same at once run one body, and both get its result', async () => {
    const [a, b] = await openTwo()
    const begun: string[] = []
    let release = (): void => undefined
    const released = new Promise<void>((resolve) => (release = resolve))
    const load = task({ name: 'load', cache: inputs() }, async (key: string) => {
      begun.push(key)
      if (key === 'same') await released
      return `${key} ${begun.length}`
    })
    const loads = flow('loads', (key: string) => load(key))
    const runs = [a.run(loads, 'same'), b.run(loads, 'same')]
    await until('one body has begun', () => begun.length > 0)
    // What each is asked for after that is done: none was only slow.
    await Promise.all([a.run(loads, 'of a'), b.run(loads, 'of b')])
    expect(begun.filter((key) => key === 'same')).toHaveLength(1)
    release()
    const [one, other] = await Promise.all(runs)
    expect(other).toBe(one)
    expect(begun.filter((key) => key === 'same')).toHaveLength(1)
    const states = await Promise.all(runs.map((run) => statesOf(a, run.id)))
    expect(states.toSorted()).toEqual(['Pending Cached', 'Pending Running Completed'])
  })

  it('begin no more often than a rate allows, both together, in any window of it', async () => {
    const [count, perMs, each] = [3, 500, 6]
    const [a, b] = await openTwo({ limits: [{ task: 'call', rate: { count, per: perMs } }] })
    const starts: { readonly node: string; readonly at: number }[] = []
    const call = task('call', (node: string) => void starts.push({ node, at: performance.now() }))
    const calls = flow('calls', (node: string) => Array.from({ length: each }, () => call(node)))
    await Promise.all([a.run(calls, 'a'), b.run(calls, 'b')])
    expect(
      starts
        .map(({ node }) => node)
        .toSorted()
        .join(''),
    ).toBe('a'.repeat(each) + 'b'.repeat(each))
    const tooSoon = starts.filter(({ at }, n) => {
      const before = starts[n - count]
      return before !== undefined && at - before.at < perMs - toleranceMs
    })
    expect(tooSoon).toEqual([])
  })
})
