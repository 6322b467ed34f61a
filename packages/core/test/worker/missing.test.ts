import type { Delivery, NodeInfo } from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import type { ToOwner } from '../../src/remote/node-talk.ts'
import { Missing } from '../../src/worker/missing.ts'

const workerOf = (node: string, queue: string): NodeInfo => ({ node, flows: [], queues: { [queue]: 1 } })

describe('what a worker does not have', () => {
  const clock = virtualClock()
  let there: NodeInfo[]
  let pauses: number[]
  let told: ToOwner[]
  let missing: Missing
  let failure: Error | undefined

  beforeEach(() => {
    there = [workerOf('me', 'q')]
    pauses = []
    told = []
    failure = undefined
    missing = new Missing({
      node: 'me',
      clock,
      random: { number: () => 0.5, uint32: () => 0 },
      nodes: {
        list: async () => {
          if (failure !== undefined) throw failure
          return there
        },
      },
      send: (_, item) => told.push(item),
    })
  })

  const delivery = (id = 'offer'): Delivery => ({
    id,
    body: new Uint8Array(0),
    repeated: false,
    done: () => undefined,
    handBack: (ms = 0) => void pauses.push(ms),
  })

  const pass = (ms: number): Promise<void> =>
    clock.run(new Promise<void>((resolve) => void clock.at(clock.now() + ms, resolve)))

  async function handedBack(times: number, id?: string): Promise<number[]> {
    pauses = []
    for (let time = 0; time < times; time++) await missing.handBack(delivery(id), 'q')
    return pauses
  }

  it('is left to others for a moment first, and for longer each time', async () => {
    there.push(workerOf('other', 'q'))
    expect(await handedBack(8)).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000])
    expect(await handedBack(1, 'another')).toEqual([100])
  })

  it('stays away for long at once where nobody else takes from the queue', async () => {
    there.push(workerOf('other', 'r'))
    expect(await handedBack(2)).toEqual([5_000, 5_000])
    failure = new RangeError('nobody answers')
    await pass(1_000)
    expect(await handedBack(1)).toEqual([5_000])
  })

  it('is left to a worker that has come for a moment again', async () => {
    there.push(workerOf('other', 'q'))
    expect(await handedBack(4)).toEqual([100, 200, 400, 800])
    there.push(workerOf('third', 'q'))
    await pass(1_000)
    expect(await handedBack(2)).toEqual([100, 200])
  })

  it('is told to its owner once in five seconds', async () => {
    const tell = (version: string): void =>
      missing.tell({ node: 'owner', topic: 'tasks' }, { name: 'render', version })
    for (const version of ['1', '1', '2']) tell(version)
    expect(told).toMatchObject([
      { of: 'missing', node: 'me', task: 'render', version: '1' },
      { of: 'missing', node: 'me', task: 'render', version: '2' },
    ])
    await pass(5_000)
    tell('1')
    expect(told).toHaveLength(3)
  })
})
