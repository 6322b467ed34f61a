import { flow, memoryJournal, type Delivery, type JournalSummary, type NodeInfo } from '@troupe/core'
import { virtualClock } from '@troupe/core/testing'
import { expect, it } from 'vitest'
import { flowDefinitionOf } from '../../src/definitions/flow.ts'
import { FlowServer } from '../../src/engine/serve-flows.ts'
import { encodeValue } from '../../src/values/codec.ts'

const young = flow({ name: 'left', version: '2', onVersionChange: 'pin' }, async () => 'by the new code')

/** A flow run of version 1 whose node is gone. */
const summary: JournalSummary = {
  flowRunId: 'run',
  name: 'left',
  version: '1',
  kind: 'flow',
  runName: undefined,
  state: 'Running',
  tags: [],
  startedAt: 0,
  changedAt: 0,
  position: 3,
  ended: false,
  parentRunId: undefined,
  node: 'gone',
  epoch: 1,
  order: 1,
}

/** A node with the new code, to which that flow run is offered. */
function serve() {
  const there: NodeInfo[] = []
  const recovered: string[] = []
  const reported: unknown[] = []
  let list = async (): Promise<NodeInfo[]> => there
  let lose: ((node: string) => void) | undefined
  let take: ((delivery: Delivery) => void) | undefined
  const taking = { want: () => undefined, stop: async () => undefined }
  const server = new FlowServer(
    {
      node: 'young',
      clock: virtualClock(),
      random: { number: () => 0.5, uint32: () => 0 },
      journal: { ...memoryJournal(), summary: async () => summary },
      rootOf: () => undefined,
      hasRun: async () => false,
      async recoverOne(flowRunId) {
        recovered.push(flowRunId)
        return 'pinned'
      },
      report: (error) => void reported.push(error),
    },
    {
      queue: {
        offer: async () => true,
        take: (_, listener) => {
          take = listener
          return taking
        },
        withdraw: async () => undefined,
        pending: async () => ({ ids: [], count: 0 }),
      },
      nodes: {
        announce: async () => undefined,
        gone: async (nodes) => nodes,
        withdraw: async () => undefined,
        list: () => list(),
        lost: (listener) => {
          lose = listener
          return () => undefined
        },
        answer: () => () => undefined,
        ask: async () => undefined,
      },
    },
    [flowDefinitionOf(young)],
  )
  server.start()
  const body = encodeValue({ flowRunId: 'run' }, { at: 'offer' })
  const leaves = (): Promise<number> =>
    new Promise((resolve) =>
      take?.({
        id: 'run.2',
        body,
        repeated: false,
        done: () => undefined,
        handBack: (ms = 0) => resolve(ms),
      }),
    )
  /** A node is lost, and its list can't be read any more. */
  const loses = (): void => {
    list = () => Promise.reject(new TypeError('closed'))
    lose?.('gone')
  }
  return { server, there, recovered, reported, leaves, loses }
}

it.each([
  ['reported', false, ['TypeError: closed']],
  ['nobody’s matter where it is closed: the others do it', true, []],
] as const)('what fails when another node is lost is %s', async (_, closes, expected) => {
  const { server, loses, reported } = serve()
  loses()
  if (closes) await server.stop()
  await new Promise((resolve) => setImmediate(resolve))
  expect(reported.map(String)).toEqual(expected)
})

it('a flow run that waits for its version is asked for less and less often', async () => {
  const { leaves, recovered, reported } = serve()
  const pauses: number[] = []
  for (let times = 0; times < 6; times++) pauses.push(await leaves())
  expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 15_000, 15_000])
  expect(recovered).toHaveLength(6)
  expect(reported).toEqual([])
})

it('a flow run is left for moments to a node that has its version, and its journal is not read', async () => {
  const { there, leaves, recovered } = serve()
  for (let times = 0; times < 4; times++) await leaves()
  recovered.length = 0
  there.push({ node: 'old', flows: ['left@1'], queues: {} })
  const pauses: number[] = []
  for (let times = 0; times < 9; times++) pauses.push(await leaves())
  expect(pauses).toEqual([100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000])
  there.pop()
  expect(await leaves()).toBe(1_000)
  expect(recovered).toEqual(['run'])
})
