import { flow, receive, sleep, task, waitAll, waitForInput, type FlowRunHandle } from '@troupe/core'
import { crashEverywhere, effectsLog } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'

const log = effectsLog()
const quietly = (): void => undefined

const work = task('works on', (key: string, value?: unknown) => {
  log.record(key, value)
  return key
})

describe('a flow run whose process dies while it', () => {
  it('waits for signals, gets each of them once, and in their order', async () => {
    const hears = flow('hears through crashes', async () => {
      const first = await receive<string>('first')
      await work(`first ${first}`)
      const rest = await Promise.all([receive<string>('a'), receive<string>('b'), receive<string>('a')])
      await work(`rest ${rest.join(' ')}`)
      return [first, ...rest]
    })
    const report = await crashEverywhere(hears, [], {
      log: quietly,
      effects: log,
      // Sent again by each process, as whoever sends does not know of the crash.
      drive: async (run: FlowRunHandle<string[]>) => {
        await send(run, 'first', '1')
        await send(run, 'a', 'x')
        await send(run, 'b', 'y')
        await send(run, 'a', 'x')
      },
    })
    expect(report.points).toBeGreaterThan(20)
  })

  it('waits for an input, by whom it is asked for as often as it takes', async () => {
    const asks = flow('asks through crashes', async () => {
      await work('before')
      const input = await waitForInput()
      await work('after', input)
      return input
    })
    const report = await crashEverywhere(asks, [], {
      log: quietly,
      effects: log,
      drive: (run) => {
        // Given whenever the run may have asked; when it has it, it takes no other.
        run.states.subscribe({
          next: ({ name }) => name === 'Paused' && void run.resume('yes').catch(quietly),
        })
      },
    })
    expect(report.points).toBeGreaterThan(10)
  })

  it('signals its subflow, which is told once', async () => {
    const child = flow('told through crashes', async () => {
      const told = [await receive<number>('n'), await receive<number>('n')]
      const more = await receive('n', { timeout: '1m' }).then(String, () => 'no more')
      await work(`told ${told.join(' ')} ${more}`)
      return told
    })
    const tells = flow('tells through crashes', async () => {
      const part = child()
      await part.signal('n', 1)
      await work('between')
      await part.signal('n', 2)
      return part
    })
    const report = await crashEverywhere(tells, [], { log: quietly, effects: log })
    expect(report.points).toBeGreaterThan(40)
  })

  it('is suspended, wakes, and times out', async () => {
    const sleeps = flow('suspended through crashes', async () => {
      await work('a')
      await sleep('1d')
      await work('b')
      const none = await receive('never', { timeout: '2d' }).catch((error: { code: string }) => error.code)
      const { done } = await waitAll([work('c'), work('d')])
      return [none, done.length]
    })
    const report = await crashEverywhere(sleeps, [], {
      log: quietly,
      effects: log,
      engine: { suspendAfter: '1h' },
    })
    expect(report.points).toBeGreaterThan(30)
  })
})

/** Sends a signal, unless the run has ended or its engine is gone. */
async function send(run: FlowRunHandle<unknown>, name: string, payload: string): Promise<void> {
  await run.signal(name, payload).catch(quietly)
}
