import { flow, sleep, type DeadLetter } from '@troupe/core'
import { Subject } from 'rxjs'
import { describe, expect, it } from 'vitest'
import { code, deferred, quiet, testEngine } from '../behaviour/support.ts'
import { MemorySource } from './memory-source.ts'
import { errorsOf, journalWith, keptJournal, runsOf, takes, waitOn } from './support.ts'

const numbersTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

describe('an intake that is paused', () => {
  it('takes nothing new until it is resumed, while flow runs go on', async () => {
    const engine = testEngine()
    const source = new MemorySource<number>({ clock: engine.clock })
    const intake = engine.on(source, takes<number>(1000))
    source.addAll(numbersTo(2), String)
    await quiet()
    intake.pause()
    source.addAll([2, 3], String)
    await engine.settle(waitOn(engine.clock, 60_000))
    expect(intake.status).toMatchObject({ state: 'paused', received: 2, started: 2, inFlight: 0 })
    expect(source.count('waiting')).toBe(2)
    intake.resume()
    source.end()
    await engine.settle(intake.done)
    expect(intake.status).toMatchObject({ state: 'completed', started: 4 })
    await engine.close()
  })

  it('hands back at once what was on its way', async () => {
    const engine = testEngine()
    const source = new MemorySource<number>({ clock: engine.clock })
    const intake = engine.on(
      source,
      flow('accept', (n: number) => n),
    )
    const held = source.add(1, 'one')
    await quiet()
    expect(held.state).toBe('done')
    intake.pause()
    // One that its source delivers though it is not wanted any more.
    const back: number[] = []
    const [tap] = tapsOf(source)
    tap?.taker.deliver({
      key: 'two',
      deliveries: 1,
      read: () => 2,
      done: () => back.push(-1),
      handBack: (delayMs = 0) => back.push(delayMs),
    })
    expect(back).toEqual([0])
    expect(intake.status).toMatchObject({ received: 2, handedBack: 1, started: 1 })
    await engine.close()
  })

  it('keeps what an Observable gives meanwhile, as far as the buffer goes', async () => {
    const engine = testEngine()
    const events = new Subject<number>()
    const letters: DeadLetter[] = []
    const intake = engine.on(
      events,
      flow('accept', (n: number) => n),
      { buffer: 2, deadLetter: (letter) => letters.push(letter) },
    )
    intake.pause()
    for (const n of [1, 2, 3]) events.next(n)
    await quiet()
    expect(intake.status).toMatchObject({ started: 0, waiting: 2, dead: 1 })
    intake.resume()
    events.complete()
    await engine.settle(intake.done)
    expect(intake.status).toMatchObject({ started: 2, dead: 1, waiting: 0 })
    await engine.close()
  })
})

describe('an intake that is drained', () => {
  it('takes nothing new, and waits for the flow runs of what it has', async () => {
    const engine = testEngine()
    const source = new MemorySource<number>({ clock: engine.clock })
    const intake = engine.on(source, takes<number>(1000))
    source.addAll(numbersTo(2), String)
    await quiet()
    let isDrained = false
    const drained = intake.drain().then(() => (isDrained = true))
    source.add(2, 'two')
    await quiet()
    expect(intake.status).toMatchObject({ state: 'draining', inFlight: 2 })
    expect(isDrained).toBe(false)
    await engine.settle(drained)
    expect(intake.status).toMatchObject({ state: 'stopped', received: 2, started: 2, inFlight: 0 })
    expect(source.count('waiting')).toBe(1)
    await intake.done
    await engine.close()
  })

  it('starts all that an Observable gave, one after the other', async () => {
    const engine = testEngine()
    const events = new Subject<number>()
    const seen: number[] = []
    const accept = flow('accept', async (n: number) => {
      seen.push(n)
      await sleep('1s')
    })
    const intake = engine.on(events, accept, { concurrency: 1 })
    for (const n of [1, 2, 3]) events.next(n)
    intake.pause()
    const drained = intake.drain()
    events.next(4)
    await engine.settle(drained)
    expect(seen).toEqual([1, 2, 3])
    expect(intake.status).toMatchObject({ state: 'stopped', received: 3, started: 3 })
    await engine.close()
  })
})

describe('an intake that is stopped', () => {
  it('waits for no flow run', async () => {
    const engine = testEngine()
    const source = new MemorySource<number>({ clock: engine.clock })
    const intake = engine.on(source, takes<number>(86400000))
    source.add(1, 'one')
    await quiet()
    await intake.stop()
    expect(intake.status).toMatchObject({ state: 'stopped', started: 1, handedBack: 0 })
    expect(source.log).toEqual(['done 0', 'stopped', 'closed'])
    expect(engine.health().liveRuns).toBe(1)
    await engine.close()
  })

  it('hands back what is acknowledged only at the end, at once', async () => {
    const engine = testEngine()
    const source = new MemorySource<number>({ clock: engine.clock })
    const intake = engine.on(source, takes<number>(86400000), { ackWhen: 'finished' })
    source.add(1, 'one')
    await quiet()
    await intake.stop()
    expect(source.log).toEqual(['stopped', 'handBack 0', 'closed'])
    await engine.close()
  })

  it('gives what is being recorded a second, and hands back the rest', async () => {
    const memory = keptJournal()
    const gate = deferred()
    const journal = journalWith(memory, {
      append: async (append) => {
        await gate.promise
        return memory.append(append)
      },
    })
    const engine = testEngine({ journal })
    const source = new MemorySource<number>({ clock: engine.clock })
    const intake = engine.on(
      source,
      flow('accept', (n: number) => n),
    )
    source.add(1, 'one')
    await quiet()
    const from = engine.clock.monotonic()
    await engine.settle(intake.stop())
    expect(engine.clock.monotonic() - from).toBe(1_000)
    expect(source.log).toEqual(['stopped', 'handBack 0', 'closed'])
    // It is recorded after all; the event comes again, and starts nothing.
    gate.resolve()
    const again = engine.on(
      source,
      flow('accept', (n: number) => n),
    )
    source.end()
    await engine.settle(again.done)
    expect(again.status).toMatchObject({ started: 0, duplicates: 1 })
    expect(await runsOf(memory)).toHaveLength(1)
    await engine.close()
  })

  it('starts at once all that an Observable gave, where the journal is durable', async () => {
    const journal = keptJournal()
    const engine = testEngine({ journal })
    const events = new Subject<number>()
    const intake = engine.on(events, takes<number>(86400000), { concurrency: 1 })
    for (let n = 0; n < 5; n++) events.next(n)
    await engine.settle(intake.stop())
    expect(intake.status).toMatchObject({ state: 'stopped', started: 5, dead: 0 })
    expect(await runsOf(journal)).toHaveLength(5)
    await engine.close()
  })

  it('tells of what an Observable gave, where the journal is not durable', async () => {
    const engine = testEngine()
    const errors = errorsOf(engine)
    const events = new Subject<number>()
    const intake = engine.on(events, takes<number>(86400000), { concurrency: 1 })
    for (let n = 0; n < 3; n++) events.next(n)
    await engine.settle(intake.stop())
    await quiet()
    expect(intake.status).toMatchObject({ started: 1, dead: 2 })
    expect(errors.map(({ error }) => (error as Error).cause)).toEqual([
      code('INTAKE_STOPPED'),
      code('INTAKE_STOPPED'),
    ])
    await engine.close()
  })

  it('is over only when its dead letters have been told of', async () => {
    const engine = testEngine()
    const events = new Subject<number>()
    const kept: number[] = []
    const gate = deferred()
    const intake = engine.on(events, takes<number>(86400000), {
      concurrency: 1,
      deadLetter: async ({ event }) => {
        await gate.promise
        kept.push(event ?? 0)
      },
    })
    for (const n of [1, 2, 3]) events.next(n)
    let isOver = false
    const stopped = intake.stop().then(() => (isOver = true))
    await quiet()
    expect([isOver, intake.status.state]).toEqual([false, 'draining'])
    gate.resolve()
    await stopped
    expect(kept).toEqual([2, 3])
    await engine.close()
  })

  it('waits ten seconds for a place for dead letters that does not answer', async () => {
    const engine = testEngine()
    const events = new Subject<number>()
    const intake = engine.on(events, takes<number>(86400000), {
      concurrency: 1,
      deadLetter: () => new Promise(() => undefined),
    })
    for (const n of [1, 2]) events.next(n)
    const from = engine.clock.monotonic()
    await engine.settle(intake.stop())
    expect(engine.clock.monotonic() - from).toBe(10_000)
    await engine.close()
  })

  it('starts what an async iterable was asked for before, and gives only then', async () => {
    const engine = testEngine()
    const late = deferred<number>()
    const events = async function* (): AsyncGenerator<number> {
      yield 1
      yield await late.promise
    }
    const seen: number[] = []
    const intake = engine.on(
      events(),
      flow('accept', (n: number) => void seen.push(n)),
    )
    await quiet()
    await intake.stop()
    late.resolve(2)
    await quiet()
    expect(seen).toEqual([1, 2])
    await engine.close()
  })

  it('is stopped once, however often it is told so, and can be told while it drains', async () => {
    const engine = testEngine()
    const source = new MemorySource<number>({ clock: engine.clock })
    const intake = engine.on(source, takes<number>(86400000))
    source.add(1, 'one')
    await quiet()
    const drained = intake.drain()
    await Promise.all([intake.stop(), intake.stop(), drained, intake.done])
    intake.resume()
    intake.pause()
    await intake.drain()
    expect(source.log).toEqual(['done 0', 'stopped', 'closed'])
    expect(intake.status.state).toBe('stopped')
    await engine.close()
  })
})

describe('an engine that closes', () => {
  it('stops its intakes: what is not acknowledged is with its source before the journal is let go of', async () => {
    const engine = testEngine()
    const source = new MemorySource<number>({ clock: engine.clock })
    const accept = takes<number>(86400000)
    const recorded = engine.on(source, accept)
    source.addAll(numbersTo(2), String)
    await quiet()
    const finished = new MemorySource<number>({ clock: engine.clock })
    const other = engine.on(finished, accept, { name: 'other', ackWhen: 'finished' })
    finished.addAll(numbersTo(2), String)
    await quiet()
    await engine.close()
    expect(recorded.status.state).toBe('stopped')
    expect(other.status.state).toBe('stopped')
    expect(source.count('done')).toBe(2)
    expect(finished.count('waiting')).toBe(2)
  })

  it('gives flow runs of events the grace, also those that begin only then', async () => {
    const engine = testEngine()
    const events = new Subject<number>()
    const accept = takes<number>(1000)
    const intake = engine.on(events, accept, { concurrency: 1 })
    for (let n = 0; n < 3; n++) events.next(n)
    await quiet()
    await engine.close({ grace: '10s' })
    expect(intake.status).toMatchObject({ state: 'stopped', started: 3, inFlight: 0 })
    expect((await runsOf(engine.journal)).map(({ state }) => state)).toEqual(Array(3).fill('Completed'))
  })

  it('acknowledges what ends within the grace', async () => {
    const engine = testEngine()
    const source = new MemorySource<number>({ clock: engine.clock })
    engine.on(source, takes<number>(1_000), { ackWhen: 'finished' })
    source.addAll(numbersTo(3), String)
    await quiet()
    await engine.close({ grace: '10s' })
    expect(source.log).toEqual(['stopped', 'done 0', 'done 1', 'done 2', 'closed'])
  })

  it('does not wait for flow runs of events that have let go of their bodies', async () => {
    const engine = testEngine({ suspendAfter: '1s' })
    const source = new MemorySource<number>({ clock: engine.clock })
    const intake = engine.on(source, takes<number>(86_400_000))
    source.add(1, 'one')
    await engine.settle(waitOn(engine.clock, 5_000))
    expect(intake.status.inFlight).toBe(1)
    const from = engine.clock.monotonic()
    await engine.close({ grace: '1h' })
    expect(engine.clock.monotonic() - from).toBeLessThan(3_600_000)
  })

  it('takes no longer than its grace for events and other runs together', async () => {
    const engine = testEngine()
    const source = new MemorySource<number>({ clock: engine.clock })
    const long = takes<number>(86400000, 'long')
    engine.on(source, long)
    source.add(1, 'one')
    engine.run(long, 2).ignore()
    await quiet()
    const from = engine.clock.monotonic()
    const closed = engine.close({ grace: '5s' })
    await closed
    expect(engine.clock.monotonic() - from).toBe(5_000)
  })

  it('loses nothing that it had taken: the next one goes on with it', async () => {
    const journal = keptJournal()
    const first = testEngine({ journal })
    const source = new MemorySource<number>({ clock: first.clock }).addAll(numbersTo(20), String)
    const begun = new Map<number, number>()
    const accept = flow('accept-lost', async (n: number) => {
      begun.set(n, (begun.get(n) ?? 0) + 1)
      await sleep('1m')
    })
    first.on(source, accept, { concurrency: 7 })
    await quiet(3)
    await first.close()
    expect(source.count('held')).toBe(0)
    const second = testEngine({ journal, recover: true })
    source.end()
    const intake = second.on(source, accept, { concurrency: 7 })
    await second.settle(intake.done)
    await second.settle(waitOn(second.clock, 600_000))
    const runs = await runsOf(journal)
    expect(runs).toHaveLength(20)
    expect(runs.every(({ state }) => state === 'Completed')).toBe(true)
    await second.close()
  })
})

/** Those who take from a source. */
function tapsOf(source: MemorySource<number>): readonly {
  readonly taker: { deliver(delivery: object): void }
}[] {
  return [...source.taps] as never
}
