/** Flow runs as actors of XState. */
import {
  currentFlowRun,
  flow,
  memoryTransport,
  receive,
  sleep,
  task,
  waitForInput,
  type RunState,
} from '@troupe/core'
import { createTestEngine, type TestEngine } from '@troupe/core/testing'
import { fromFlow, fromRun } from '@troupe/core/xstate'
import { afterEach, beforeEach, describe, expect, expectTypeOf, it } from 'vitest'
import { assign, createActor, createMachine, setup, toPromise, waitFor } from 'xstate'

let engine: TestEngine

beforeEach(() => {
  engine = createTestEngine()
})

afterEach(async () => {
  await engine.close()
})

const add = task('add', (a: number, b: number) => a + b)
const sum = flow('sum', async (a: number, b: number) => add(a, b))
const idle = flow('idle', () => sleep('1h'))

describe('fromFlow', () => {
  it('is done with the value of the run', async () => {
    const actor = createActor(fromFlow(sum), { input: [1, 2] }).start()
    const output = await engine.settle(toPromise(actor))
    expect(output).toBe(3)
    expectTypeOf(output).toEqualTypeOf<number>()
    const { runId, state, status } = actor.getSnapshot()
    expect(status).toBe('done')
    expect(state?.name).toBe('Completed')
    expect((await engine.get(runId ?? ''))?.name).toBe('sum')
  })

  it('fails with the error of the run', async () => {
    const fails = flow('fails', () => {
      throw new RangeError('too far')
    })
    const actor = createActor(fromFlow(fails), { input: [] })
    const errors: unknown[] = []
    actor.subscribe({ error: (error) => errors.push(error) })
    actor.start()
    await expect(engine.settle(toPromise(actor))).rejects.toThrow('too far')
    expect(errors).toEqual([expect.any(RangeError)])
    expect(actor.getSnapshot()).toMatchObject({ status: 'error', state: { type: 'FAILED' } })
  })

  it('fails where the flow can not be started', async () => {
    const actor = createActor(fromFlow(sum, { id: () => 'not/an id' }), { input: [1, 2] })
    actor.subscribe({ error: () => undefined })
    actor.start()
    await expect(toPromise(actor)).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })

  it('is invoked by a machine, which gets the output and takes another way on an error', async () => {
    const pay = flow('pay', (amount: number) => {
      if (amount > 100) throw new RangeError('too much')
      return `paid ${amount}`
    })
    const machine = setup({
      types: { input: {} as { amount: number }, context: {} as { amount: number; receipt?: string } },
      actors: { pay: fromFlow(pay) },
    }).createMachine({
      context: ({ input }) => ({ amount: input.amount }),
      initial: 'paying',
      states: {
        paying: {
          invoke: {
            src: 'pay',
            input: ({ context }) => [context.amount],
            onDone: { target: 'paid', actions: assign({ receipt: ({ event }) => event.output }) },
            onError: 'refused',
          },
        },
        paid: { type: 'final' },
        refused: { type: 'final' },
      },
    })
    const few = createActor(machine, { input: { amount: 3 } }).start()
    const many = createActor(machine, { input: { amount: 300 } }).start()
    await engine.settle(Promise.all([toPromise(few), toPromise(many)]))
    expect(few.getSnapshot()).toMatchObject({ value: 'paid', context: { receipt: 'paid 3' } })
    expect(many.getSnapshot().value).toBe('refused')
  })

  it('shows each state of the run in its snapshot', async () => {
    const twice = flow({ name: 'twice', retries: 1, retryDelay: '1m' }, () => {
      if (currentFlowRun().attempt === 1) throw new Error('not yet')
    })
    const actor = createActor(fromFlow(twice), { input: [] })
    const states: (RunState | undefined)[] = []
    actor.subscribe(({ state }) => {
      if (state !== states.at(-1)) states.push(state)
    })
    await engine.settle(toPromise(actor.start()))
    expect([...new Set(states.map((state) => state?.name))]).toEqual([
      'Pending',
      'Running',
      'AwaitingRetry',
      'Retrying',
      'Completed',
    ])
  })

  it.each([
    ['cancels the run', {}, 'Cancelled'],
    ['leaves the run alone where told to', { whenStopped: 'leave' }, 'Completed'],
  ] as const)('%s when its machine leaves the state', async (_, options, end) => {
    const machine = createMachine({
      initial: 'busy',
      states: {
        busy: { invoke: { id: 'run', src: fromFlow(idle, options), input: [] }, on: { leave: 'left' } },
        left: {},
      },
    })
    const actor = createActor(machine).start()
    const { runId } = actor.getSnapshot().children['run']!.getSnapshot() as unknown as { runId: string }
    actor.send({ type: 'leave' })
    const run = await engine.get(runId)
    expect((await engine.settle(run!.wait())).name).toBe(end)
  })

  it('hands on signals and inputs, pauses, resumes and cancels', async () => {
    const talk = flow('talk', async () => [await receive('word'), await waitForInput()])
    const actor = createActor(fromFlow(talk), { input: [] }).start()
    await engine.settle(waitFor(actor, ({ state }) => state?.name === 'Running'))
    actor.send({ type: 'pause' })
    await engine.settle(waitFor(actor, ({ state }) => state?.name === 'Paused'))
    actor.send({ type: 'resume' })
    await engine.settle(waitFor(actor, ({ state }) => state?.name === 'Running'))
    actor.send({ type: 'signal', name: 'word', payload: 'hello' })
    await engine.settle(waitFor(actor, ({ state }) => state?.name === 'Paused'))
    actor.send({ type: 'resume', input: 7 })
    expect(await engine.settle(toPromise(actor))).toEqual(['hello', 7])

    const other = createActor(fromFlow(idle), { input: [] })
    other.subscribe({ error: () => undefined })
    other.start()
    other.send({ type: 'cancel', reason: 'enough' })
    await expect(engine.settle(toPromise(other))).rejects.toMatchObject({ code: 'RUN_CANCELLED' })
    expect(other.getSnapshot().state).toMatchObject({ name: 'Cancelled' })
  })

  it('emits what the run does not take', async () => {
    const actor = createActor(fromFlow(idle), { input: [] })
    const refused: unknown[] = []
    const told = new Promise<void>((resolve) => {
      actor.on('refused', (event) => {
        refused.push(event)
        resolve()
      })
    })
    actor.start()
    actor.send({ type: 'signal', name: '', payload: 1 })
    await engine.settle(told)
    expect(refused).toEqual([
      {
        type: 'refused',
        event: { type: 'signal', name: '', payload: 1 },
        error: expect.objectContaining({ code: 'INVALID_OPTION' }),
      },
    ])
    actor.stop()
  })

  it('ignores events that are meant for others', async () => {
    const actor = createActor(fromFlow(sum), { input: [1, 2] }).start()
    actor.send({ type: 'hello' } as never)
    expect(await engine.settle(toPromise(actor))).toBe(3)
  })

  it('follows the same run when it is restored, and starts nothing twice', async () => {
    let bodies = 0
    const slow = flow('slow', async (n: number) => {
      bodies++
      await sleep('1m')
      return n
    })
    const logic = fromFlow(slow, { whenStopped: 'leave' })
    const first = createActor(logic, { input: [5] }).start()
    await engine.settle(waitFor(first, ({ state }) => state?.name === 'Running'))
    const snapshot = structuredClone(first.getPersistedSnapshot())
    first.stop()
    const second = createActor(logic, { input: [5], snapshot }).start()
    expect(await engine.settle(toPromise(second))).toBe(5)
    expect(second.getSnapshot().runId).toBe(first.getSnapshot().runId)
    expect(bodies).toBe(1)
    const third = createActor(logic, { input: [5], snapshot: second.getPersistedSnapshot() }).start()
    expect(third.getSnapshot()).toMatchObject({ status: 'done', output: 5 })
    expect(bodies).toBe(1)
  })

  it('tells nothing any more once it is stopped', async () => {
    const actor = createActor(fromFlow(sum, { whenStopped: 'leave' }), { input: [1, 2] }).start()
    const { runId } = actor.getSnapshot()
    actor.stop()
    const run = await engine.get(runId ?? '')
    await engine.settle(run!.wait())
    expect(actor.getSnapshot()).toMatchObject({ status: 'stopped', output: undefined })
  })
})

describe('fromRun', () => {
  it('follows a run that is started by name on another node', async () => {
    const transport = memoryTransport()
    const node = createTestEngine({ transport, serve: { flows: [sum] } })
    const client = createTestEngine({ transport })
    await node.settle(Promise.all([node.announced(), client.announced()]))
    const actor = createActor(
      fromRun(({ a, b }: { a: number; b: number }) => client.run('sum', a, b)),
      { input: { a: 1, b: 4 } },
    ).start()
    expect(await node.settle(toPromise(actor))).toBe(5)
    await node.settle(Promise.all([client.close(), node.close()]))
  })

  it('fails where the run can not be started', async () => {
    const actor = createActor(
      fromRun(() => engine.run('sum', 1)),
      { input: undefined },
    )
    actor.subscribe({ error: () => undefined })
    actor.start()
    await expect(toPromise(actor)).rejects.toMatchObject({ code: 'NO_TRANSPORT' })
  })
})
