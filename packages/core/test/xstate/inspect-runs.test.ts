/** Runs in XState's inspector. */
import { createInspector } from '@statelyai/inspect'
import { flow, flowRunMachine, task, taskRunMachine, type StateName, type Transition } from '@troupe/core'
import { createTestEngine, legalEdges, type TestEngine } from '@troupe/core/testing'
import { inspectRuns } from '@troupe/core/xstate'
import { of, Subject } from 'rxjs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { InspectionEvent } from 'xstate'

let engine: TestEngine

beforeEach(() => {
  engine = createTestEngine()
})

afterEach(async () => {
  await engine.close()
})

const add = task('add', (a: number, b: number) => a + b)
const sum = flow('sum', async (a: number, b: number) => add(a, b))
const sums = flow('sums', async () => (await sum(1, 2)) + (await add(3, 4)))

/** An inspection event in short. */
function short(event: InspectionEvent): string {
  const { id = '', _parent } = event.actorRef as { id?: string; _parent?: { id: string } }
  switch (event.type) {
    case '@xstate.actor':
      return `${id} below ${_parent?.id ?? 'nothing'}`
    case '@xstate.event':
      return `${id} gets ${event.event.type}`
    case '@xstate.snapshot':
      return `${id} is ${(event.snapshot as unknown as { value: string }).value}, ${event.snapshot.status}`
    default:
      return event.type
  }
}

describe('inspectRuns', () => {
  it('tells of each run as an actor, and of each transition as an event and a snapshot', async () => {
    const told: string[] = []
    inspectRuns(engine.transitions, (event) => told.push(short(event)))
    await engine.settle(sum(1, 2))
    expect(told).toEqual([
      'sum below nothing',
      'sum gets xstate.init',
      'sum is Pending, active',
      'sum gets start',
      'sum is Running, active',
      'add-1 below sum',
      'add-1 gets xstate.init',
      'add-1 is Pending, active',
      'add-1 gets start',
      'add-1 is Running, active',
      'add-1 gets complete',
      'add-1 is Completed, done',
      'sum gets complete',
      'sum is Completed, done',
    ])
  })

  it('puts subflows and their task runs under the topmost run', async () => {
    const roots = new Set<string>()
    const parents = new Map<string, string | undefined>()
    inspectRuns(engine.transitions, {
      next: (event) => {
        roots.add(event.rootId)
        const { sessionId, _parent } = event.actorRef as unknown as {
          sessionId: string
          _parent?: { id: string }
        }
        parents.set(sessionId, _parent?.id)
      },
    })
    const run = sums()
    await engine.settle(run)
    expect([...roots]).toEqual([run.id])
    expect([...parents.values()].map(String).toSorted((a, b) => a.localeCompare(b))).toEqual([
      'sum',
      'sums',
      'sums',
      'undefined',
    ])
  })

  it('names the event of every legal edge of both machines, and never that of another', () => {
    let edges = 0
    for (const [kind, machine] of [
      ['flow', flowRunMachine],
      ['task', taskRunMachine],
    ] as const) {
      for (const [from, targets] of Object.entries(legalEdges) as [StateName, readonly StateName[]][]) {
        const state = machine.root.states[from as keyof typeof machine.root.states]
        for (const to of state === undefined ? [] : targets) {
          const leading = [...state!.transitions.values()]
            .flat()
            .filter((edge) => edge.target?.some(({ key }) => key === to))
          if (leading.length === 0) continue
          edges++
          const told: InspectionEvent[] = []
          inspectRuns(of(transition(kind, from, to)), (event) => told.push(event))
          const [, event] = told
          expect(leading.map(({ eventType }) => eventType)).toContain(
            event?.type === '@xstate.event' && event.event.type,
          )
        }
      }
    }
    expect(edges).toBeGreaterThan(60)
  })

  it('is understood by the inspector of @statelyai/inspect: definitions, names, states', async () => {
    const sent: Record<string, unknown>[] = []
    const inspector = createInspector({ send: (event) => void sent.push({ ...event }) })
    const run = sum(1, 2)
    const shown = new Promise<void>((resolve, reject) => {
      inspectRuns(run.transitions, {
        ...inspector.inspect,
        complete: () => setTimeout(resolve, 0),
        error: reject,
      })
    })
    await engine.settle(run)
    await shown
    const actors = sent.filter(({ type }) => type === '@xstate.actor')
    expect(
      actors.map(({ name, sessionId, parentId, rootId }) => ({ name, sessionId, parentId, rootId })),
    ).toEqual([
      { name: 'sum', sessionId: run.id, parentId: undefined, rootId: run.id },
      { name: 'add-1', sessionId: expect.stringMatching(`^${run.id}\\.`), parentId: run.id, rootId: run.id },
    ])
    const [flowActor, taskActor] = actors.map(
      ({ definition }) => JSON.parse(definition as string) as { id: string; states: object },
    )
    expect(flowActor?.id).toBe('flow run')
    expect(flowActor?.states).toHaveProperty('Paused')
    expect(Object.keys(taskActor?.states ?? {})).toEqual(
      Object.keys(taskRunMachine.config.states ?? {}).toSorted(),
    )
    const last = sent.filter(({ type }) => type === '@xstate.snapshot').at(-1)
    expect(last).toMatchObject({ sessionId: run.id, snapshot: { value: 'Completed', status: 'done' } })
  })

  it('begins in the middle of a run, where the stream does', () => {
    const told: string[] = []
    inspectRuns(of(transition('task', 'Running', 'AwaitingRetry')), (event) => told.push(short(event)))
    expect(told).toEqual(['run below nothing', 'run gets fail', 'run is AwaitingRetry, active'])
  })

  it('ends with the stream, and stops when it is told to', () => {
    const source = new Subject<Transition>()
    const told: string[] = []
    const first = inspectRuns(source, {
      next: (event) => told.push(event.type),
      complete: () => told.push('complete'),
    })
    const second = inspectRuns(source, () => told.push('second'))
    second.unsubscribe()
    source.complete()
    expect(told).toEqual(['complete'])
    expect(first.closed).toBe(true)
  })
})

function transition(kind: 'flow' | 'task', from: StateName, to: StateName): Transition {
  const state = (name: StateName) => ({ type: 'RUNNING', name }) as const
  const ids = {
    flowRunId: 'f',
    runId: kind === 'flow' ? 'f' : 'f.t',
    kind,
    flow: 'a',
    runName: 'run',
    node: 'n',
  }
  return { ...ids, from: state(from), to: state(to), seq: 2, position: 3, attempt: 1, at: 4, startedAt: 1 }
}
