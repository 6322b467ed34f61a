import assert from 'node:assert/strict'
import { TroupeError } from '../base/errors.ts'
import type { Nodes } from '../ports/nodes.ts'
import { casesOf, type ConformanceCase, type Opened } from './conformance.ts'

/** Nodes that a suite opens, with none announced. @public */
export interface OpenedNodes extends Opened {
  readonly nodes: Nodes
  /**
   * What another engine of the same journal sees: another object, or another process. Absent where there is only one.
   */
  readonly others?: Nodes
}

async function assertInUse(nodes: Nodes, node: string): Promise<void> {
  await assert.rejects(nodes.announce(node), (error: unknown) => TroupeError.is(error, 'NODE_IN_USE'))
}

/** What every register of nodes is held to. @public */
export function nodesConformance(make: () => Promise<OpenedNodes>): ConformanceCase[] {
  return casesOf(make, {
    async 'says that a living engine is not gone'({ nodes, others = nodes }) {
      await nodes.announce('a')
      await nodes.announce('b')
      for (const one of [nodes, others]) assert.deepEqual([...(await one.gone(['a', 'b']))], [])
    },
    async 'says that a withdrawn engine is gone, and one that never was'({ nodes, others = nodes }) {
      for (const name of ['a', 'b', 'c']) await nodes.announce(name)
      await nodes.withdraw('b')
      for (const one of [nodes, others])
        assert.deepEqual([...(await one.gone(['a', 'b', 'never', 'c']))], ['b', 'never'])
      assert.deepEqual([...(await nodes.gone([]))], [])
    },
    async 'refuses the name of a living engine'({ nodes, others = nodes }) {
      await nodes.announce('a')
      await assertInUse(nodes, 'a')
      await assertInUse(others, 'a')
      assert.deepEqual([...(await others.gone(['a']))], [])
      await nodes.announce('b')
    },
    async 'gives a name to one of many who ask at once'({ nodes, others = nodes }) {
      const ends = await Promise.allSettled([nodes, others, nodes, others].map((one) => one.announce('a')))
      assert.deepEqual(ends.map(({ status }) => status).toSorted(), [
        'fulfilled',
        'rejected',
        'rejected',
        'rejected',
      ])
    },
    async 'gives the name of an engine that was closed to another'({ nodes, others = nodes }) {
      await nodes.announce('a')
      await nodes.withdraw('a')
      await others.announce('a')
      assert.deepEqual([...(await nodes.gone(['a']))], [])
      await assertInUse(nodes, 'a')
    },
    async 'withdraws what is not there without a word'({ nodes }) {
      await nodes.withdraw('never')
      await nodes.announce('a')
      await nodes.withdraw('a')
      await nodes.withdraw('a')
      assert.deepEqual([...(await nodes.gone(['a']))], ['a'])
    },
    async 'tells names apart that look alike'({ nodes }) {
      const names = ['a', 'A', 'a ', "it's %_", 'ä', '1', '01']
      for (const name of names) await nodes.announce(name)
      await nodes.withdraw('a')
      await nodes.withdraw('01')
      assert.deepEqual([...(await nodes.gone(names))], ['a', '01'])
    },
  })
}
