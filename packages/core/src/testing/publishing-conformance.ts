import assert from 'node:assert/strict'
import type { Station } from '../ports/transport.ts'
import type { Transition } from '../streams/transition.ts'
import { casesOf, Told, type ConformanceCase, type Opened } from './conformance.ts'

/** What publishes transitions, as a suite opens it. @public */
export interface OpenedPublishing extends Opened {
  readonly station: Pick<Station, 'publish' | 'close'>
  /** Another node of the same transport. */
  readonly others: Pick<Station, 'publish'>
  /**
   * Listens as a program that is no node. Resolves when it misses nothing from then on.
   *
   * @param listener - Called with what was published, read back.
   */
  readonly listen: (listener: (transition: Transition) => void) => Promise<void>
}

const at = Date.UTC(2001, 0, 1)

/** A transition of a task run. */
function transitionOf(flowRunId: string, seq: number, more: Partial<Transition> = {}): Transition {
  return {
    flowRunId,
    runId: `${flowRunId}.task`,
    kind: 'task',
    flow: 'ship',
    task: 'label',
    runName: 'label-1',
    from: seq === 1 ? null : { type: 'PENDING', name: 'Pending' },
    to: { type: 'RUNNING', name: 'Running' },
    seq,
    position: seq + 1,
    attempt: 1,
    at: at + seq,
    startedAt: at,
    node: 'a',
    parentRunId: flowRunId,
    ...more,
  }
}

/** With each kind of field there is, and texts that are no words. */
const odd: readonly Transition[] = [
  {
    flowRunId: 'run',
    runId: 'run',
    kind: 'flow',
    flow: 'ship',
    runName: 'ship',
    from: null,
    to: { type: 'PENDING', name: 'Pending' },
    seq: 1,
    position: 2,
    attempt: 1,
    at,
    startedAt: at,
    node: '',
  },
  transitionOf('run', 1, { flow: 'a flow.with *, > and\tmore', task: 'größe/日本', runName: '"x"\n\u0000' }),
  transitionOf('run', 2, { task: '_', flow: '_', runName: '', host: 'thread-2' }),
  transitionOf('run', 3, { flow: 'x'.repeat(500), task: `${'y'.repeat(499)}.` }),
  transitionOf('run', 4, {
    to: { type: 'FAILED', name: 'TimedOut', message: 'it took "long": 3 s\n\u{1f40c}' },
    attempt: 17,
    at: at + 0.5,
  }),
  transitionOf('run', 5, { kind: 'task', runId: 'run', flow: 'label' }),
]

/** What everything that publishes transitions is held to. @public */
export function publishingConformance(make: () => Promise<OpenedPublishing>): ConformanceCase[] {
  return casesOf(make, {
    async 'brings each transition with all that it says'({ station, listen }) {
      const told = new Told<Transition>()
      await listen(told.add)
      for (const transition of odd) station.publish?.(transition)
      assert.deepEqual(await told.atLeast(odd.length), odd)
    },
    async 'brings the transitions of a flow run in their order, each once'({ station, listen }) {
      const told = new Told<Transition>()
      await listen(told.add)
      const sent = Array.from({ length: 600 }, (_, index) =>
        transitionOf(`run${index % 3}`, 1 + Math.floor(index / 3)),
      )
      for (const transition of sent) station.publish?.(transition)
      station.publish?.(transitionOf('last', 1))
      const all = await told.until((items) => items.some(({ flowRunId }) => flowRunId === 'last'))
      const of = (transitions: readonly Transition[], id: string): readonly Transition[] =>
        transitions.filter(({ flowRunId }) => flowRunId === id)
      for (const id of ['run0', 'run1', 'run2', 'last'])
        assert.deepEqual(of(all, id), of([...sent, transitionOf('last', 1)], id))
    },
    async 'brings what every node publishes to everybody who listens'({ station, others, listen }) {
      const told = [new Told<string>(), new Told<string>()]
      for (const one of told) await listen(({ flowRunId }) => one.add(flowRunId))
      station.publish?.(transitionOf('mine', 1))
      others.publish?.(transitionOf('theirs', 1))
      for (const one of told) assert.deepEqual([...(await one.atLeast(2))].toSorted(), ['mine', 'theirs'])
    },
    async 'tells who comes later nothing of what was'({ station, listen }) {
      station.publish?.(transitionOf('before', 1))
      const first = new Told<string>()
      await listen(({ flowRunId }) => first.add(flowRunId))
      station.publish?.(transitionOf('early', 1))
      await first.until((ids) => ids.includes('early'))
      const told = new Told<string>()
      await listen(({ flowRunId }) => told.add(flowRunId))
      station.publish?.(transitionOf('late', 1))
      assert.deepEqual(await told.atLeast(1), ['late'])
    },
    async 'publishes nothing after it was closed, and takes it all the same'({ station, others, listen }) {
      const told = new Told<string>()
      await listen(({ flowRunId }) => told.add(flowRunId))
      station.publish?.(transitionOf('before', 1))
      await told.atLeast(1)
      await station.close()
      station.publish?.(transitionOf('after', 1))
      others.publish?.(transitionOf('other', 1))
      assert.deepEqual(await told.atLeast(2), ['before', 'other'])
    },
  })
}
