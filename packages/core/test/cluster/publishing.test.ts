/** What a transport that publishes is given by the engines: every transition, after its commit. */
import { flow, memoryTransport, receive, task, type Transition } from '@troupe/core'
import { checkTransitions, createTestEngine } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'
import { all, quiet } from '../behaviour/support.ts'

const add = task({ name: 'add', retries: 1 }, (a: number, b: number) => {
  if (a > b) throw new RangeError('unordered')
  return a + b
})
const child = flow('child', (n: number) => add(n, 2))
const parent = flow('parent', async (n: number) => {
  const sum = await child(n)
  await receive('go')
  return sum
})

describe('an engine whose transport publishes', () => {
  it('publishes each transition as its journal has it, once, after the commit', async () => {
    const transport = memoryTransport({ publish: true })
    await using engine = createTestEngine({ transport, node: 'a' })
    const published: Transition[] = []
    transport.published((transition) => published.push(transition))
    const run = engine.run(parent, 1)
    await quiet(60)
    await run.signal('go')
    expect(await engine.settle(run)).toBe(3)
    await engine.settle(engine.run(child, 7).wait())
    await quiet()
    checkTransitions(published)
    for (const flowRunId of new Set(published.map((one) => one.flowRunId))) {
      const recorded = await engine.settle(all(engine.watch({ flowRunId })))
      expect(published.filter((one) => one.flowRunId === flowRunId)).toEqual(recorded)
    }
    expect(new Set(published.map((one) => one.flow))).toEqual(new Set(['parent', 'child']))
  })

  it('publishes all of a flow run that was started for any node', async () => {
    const transport = memoryTransport({ publish: true })
    await using owner = createTestEngine({ transport, node: 'owner', serve: { flows: [child] } })
    await using client = createTestEngine({ transport, node: 'client', clock: owner.clock })
    const published: Transition[] = []
    transport.published((transition) => published.push(transition))
    const run = await owner.settle(client.run('child', 1))
    expect(await owner.settle(run.result())).toBe(3)
    await quiet()
    const recorded = await owner.settle(all(client.watch({ flowRunId: run.id })))
    expect(published.filter(({ flowRunId }) => flowRunId === run.id)).toEqual(recorded)
    expect(recorded[0]).toMatchObject({ seq: 1, node: '' })
  })

  it('goes on where a listener throws', async () => {
    const transport = memoryTransport({ publish: true })
    await using engine = createTestEngine({ transport })
    const published: string[] = []
    transport.published(() => {
      throw new RangeError('in a listener')
    })
    const end = transport.published(({ to }) => published.push(to.name))
    expect(await engine.settle(engine.run(child, 1))).toBe(3)
    await quiet()
    expect(published).toContain('Completed')
    end()
    const before = published.length
    await engine.settle(engine.run(child, 1))
    expect(published).toHaveLength(before)
  })

  it('publishes nothing unless it is told to', async () => {
    const transport = memoryTransport()
    await using engine = createTestEngine({ transport })
    const published: unknown[] = []
    transport.published((transition) => published.push(transition))
    await engine.settle(engine.run(child, 1))
    await quiet()
    expect(published).toEqual([])
    expect(() => memoryTransport({ publish: 'yes' as unknown as boolean })).toThrow(/publish/)
  })
})
