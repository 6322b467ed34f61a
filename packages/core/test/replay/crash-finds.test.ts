import {
  currentTaskRun,
  flow,
  now,
  receive,
  sleep,
  task,
  uuid,
  waitForInput,
  type Flow,
  type RunError,
} from '@troupe/core'
import {
  crashEverywhere,
  CrashError,
  effectsLog,
  type CrashedRun,
  type CrashingJournal,
  type CrashOptions,
} from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'

const log = effectsLog()
const step = task('step', async (key: unknown) => {
  log.record(`step ${String(key)}`)
  return key
})

/** What is put back before each run, and lost with a process, in flows that should rely on neither. */
let counter = 0
const held = new Map<string, string>()

/** The error that `crashEverywhere` rejects with, and the lines that it printed. */
async function found(
  started: Flow<[], unknown>,
  options: CrashOptions<unknown> = {},
): Promise<{ error: CrashError; lines: string[] }> {
  const lines: string[] = []
  const settings = {
    effects: log,
    reset: () => void (counter = 0),
    log: (line: string) => void lines.push(line),
  }
  try {
    await crashEverywhere(started, [], { ...settings, ...options })
  } catch (error) {
    if (error instanceof CrashError) return { error, lines }
    throw error
  }
  throw new RangeError(`nothing was found: ${lines.join()}`)
}

describe('crashEverywhere finds', () => {
  it('an effect in the body of a flow', async () => {
    const mails = flow('mails', async () => {
      log.record('mail to Ada')
      return step('a')
    })
    const { error } = await found(mails)
    expect(error.message).toContain(
      "effect 'mail to Ada' was done 2 times, and not 1, by the body of flow mails, which runs again: it belongs in a task",
    )
    expect(error.crashes).toHaveLength(1)
  })

  it('an effect in the body of a flow that follows the last call', async () => {
    const late = flow('late', async () => {
      await step('a')
      log.record('mail at the end')
    })
    expect((await found(late)).error.differences).toHaveLength(1)
  })

  it('a call that depends on Math.random: the run is parked', async () => {
    const dice = flow('dice', async () => {
      await step.with({ retries: 1 })(Math.random())
    })
    const { error } = await found(dice, { effects: () => undefined })
    expect(error.message).toContain(
      'it was parked: diverged: the body of dice made call 1, task step, which its journal does not have',
    )
  })

  it('a path that depends on how often the module was used', async () => {
    const counting = flow('counting', async () => {
      const turn = ++counter
      await step(turn)
      await step('end')
    })
    const { error } = await found(counting, { effects: () => undefined })
    expect(error.message).toMatch(
      /counting does not survive a crash after entry \d+: it was parked: diverged: /,
    )
    // Two runs differ by themselves where it is not put back.
    const kept = await found(counting, { reset: () => undefined })
    expect(kept.error.crashes).toEqual([])
    expect(kept.error.message).toContain('two runs of counting without a crash differ (put back by `reset`')
  })

  it('calls that come in another order', async () => {
    const unordered = flow('unordered', async () => {
      const order = counter++ % 2 === 0 ? ['a', 'b'] : ['b', 'a']
      for (const key of order) await step(key)
    })
    expect((await found(unordered)).error.message).toContain('it was parked: diverged')
  })

  it('a key that differs from attempt to attempt', async () => {
    const pay = task('pay', async (account: string) => log.record(`${account} ${++counter}`))
    const { error } = await found(flow('pays', () => pay('Ada')))
    expect(error.differences).toEqual(["effect 'Ada 2' was done, and is not done without the crash"])
  })

  it('an effect that differs from attempt to attempt', async () => {
    const write = task('write', async () => log.record('row 1', { attempt: currentTaskRun().attempt }))
    const { error, lines } = await found(flow('writes', () => write()))
    expect(error.differences).toEqual([
      "effect 'row 1' was done with different values: { attempt: 1 }, { attempt: 2 }",
    ])
    expect(error).toMatchObject({ name: 'CrashError', code: 'CRASH_FOUND' })
    expect(error.expected).toMatchObject({
      state: 'Completed',
      effects: new Map([['row 1', [{ attempt: 1 }]]]),
    })
    expect(lines.slice(2)).toEqual(error.journal)
    expect(error.journal.map((line) => line.replace(/[0-9a-z]{18}/, 'id').replace(/^ +/, ''))).toEqual([
      'process 1 begins',
      '1  journal id claimed by process-1, epoch 1',
      '2  writes submitted, Pending: []',
      '3  writes → Running, attempt 1',
      '4  write-1 submitted by writes, Pending: []',
      '5  write-1 → Running, attempt 1',
      'process 1 dies: the last entry is stored, and its writer is not told',
      'process 2 begins',
      '6  journal id claimed by process-2, epoch 2',
      '7  writes → Recovering, attempt 1: its host was lost',
      '8  writes → Running, attempt 2',
      '9  write-1 → Recovering, attempt 1: its host was lost',
      '10  write-1 → Running, attempt 2',
      '11  write-1 → Completed, attempt 2 undefined',
      '12  writes → Completed, attempt 2 undefined',
    ])
  })

  it('an effect that is not done any more', async () => {
    const hold = task('hold', async () => void held.set('a', 'kept in memory'))
    const send = task('send', async () => {
      const text = held.get('a')
      if (text !== undefined) log.record(text)
    })
    const forgetful = flow('forgetful', async () => {
      await hold()
      await send()
    })
    const { error } = await found(forgetful, { restart: () => held.clear() })
    expect(error.differences).toEqual(["effect 'kept in memory' is missing"])
  })

  it('effects that are counted, where the test counts them', async () => {
    const sent: string[] = []
    const send = task('send-plainly', async () => void sent.push('a mail'))
    const { error } = await found(
      flow('sends', () => send()),
      {
        effects: () => sent,
        reset: () => void (sent.length = 0),
      },
    )
    expect(error.differences).toEqual([
      "what `effects` gives is [ 'a mail', 'a mail' ], and not [ 'a mail' ]",
    ])
  })

  it('another result', async () => {
    const guess = flow('guess', async () => {
      await step('a')
      return ++counter
    })
    const { error } = await found(guess)
    expect(error.differences).toEqual(['its result is 2, and not 1'])
    expect(error).toMatchObject({ expected: { value: 1 }, actual: { value: 2 } })
  })

  it('the place in a large result that differs', async () => {
    const large = flow('large', async () => {
      await step('a')
      const rows = Array.from({ length: 100 }, (_, row) => ({ row, turn: 0 }))
      return { rows: rows.map((found) => (found.row === 70 ? { ...found, turn: ++counter } : found)) }
    })
    const { error } = await found(large)
    expect(error.differences).toEqual(['its result has 2 at .rows[70].turn, and not 1'])
  })

  it('another error, and an end of another kind', async () => {
    const fails = flow('fails', async () => {
      await step('a')
      throw new RangeError(`try ${++counter}`)
    })
    expect((await found(fails)).error.differences).toEqual([
      'it failed with RangeError: try 2, and not with RangeError: try 1',
    ])
    const turns = flow('turns', async () => {
      await step('a')
      if (++counter > 1) throw new RangeError('once is enough')
    })
    expect((await found(turns)).error.differences).toEqual([
      'it ended Failed with RangeError: once is enough, and not Completed',
    ])
  })

  it('a run that does not end, with a crash or without one', async () => {
    const hangs = flow('hangs', () => new Promise<void>(() => undefined))
    const { error } = await found(hangs, { limit: 50 })
    expect(error.crashes).toEqual([])
    expect(error.message).toBe(
      'hangs does not end without a crash: it was not over after 50 ms (`limit`); the newest transition is to Running',
    )
    const hangsLater = flow('hangs-later', async () => {
      if (++counter > 1) await new Promise<void>(() => undefined)
    })
    expect((await found(hangsLater, { limit: 50 })).error.crashes).toHaveLength(1)
  })

  it('a flow that nobody could find again', async () => {
    flow('twice', () => step('one'))
    const twice = flow('twice', () => step('two'))
    expect((await found(twice)).error.message).toContain('it could not be recovered: ')
  })

  it('that it came to no point', async () => {
    const shorter = flow('shorter', async () => {
      if (runs < 2) for (const key of 'abcdef') await step(key)
      runs++
    })
    let runs = 0
    const { error } = await found(shorter, { effects: () => undefined, max: 1, seed: 3 })
    expect(error.message).toBe('shorter came to no point at which it could die: 0 points were tried')
  })
})

describe('crashEverywhere passes', () => {
  const options = { effects: log, log: () => undefined }

  it('effects whose keys are run ids, or drawn in the flow', async () => {
    const pay = task('pay-keyed', async (key: string) => log.record(`${key} ${currentTaskRun().id}`, { key }))
    const paying = flow('paying', async () => {
      const key = uuid()
      await Promise.all([pay(key), pay(`${key}/2`)])
      return { key, at: now() }
    })
    const { points, repeated, missed } = await crashEverywhere(paying, [], options)
    expect({ missed, many: points > 20, twice: repeated > 8 }).toEqual({ missed: 0, many: true, twice: true })
  })

  it('subflows, sleeps, retries, limits of time, maps and cancelled runs', async () => {
    const flaky = task({ name: 'flaky-once', retries: 5, retryDelay: '1m' }, async (key: string) => {
      log.record(`tried ${key}`)
      if (currentTaskRun().attempt === 1) throw new RangeError('not yet')
      return key
    })
    const slow = task({ name: 'too-slow', timeout: '5s' }, () => sleep('1h'))
    const below = flow('below', async (key: string) => {
      await sleep('1d')
      return step(key)
    })
    const all = flow('all', async () => {
      const late = slow()
      const cancelled = slow.with({ timeout: '1h' })()
      const parts = await Promise.all(flaky.map(['x', 'y']))
      void cancelled.cancel('not needed')
      const subs = await Promise.all(parts.map((part) => below(part)))
      return [...subs, (await late.wait()).name, (await cancelled.wait()).name]
    })
    const lines: string[] = []
    const report = await crashEverywhere(all, [], { ...options, log: (line) => void lines.push(line) })
    expect(report.points).toBeGreaterThan(60)
    expect(lines).toEqual([
      `crashEverywhere: all came to the same end from ${report.points} points (${report.entries} entries in ` +
        `${report.appends} appends; ${report.repeated} times its process died more than once)`,
    ])
  })

  it('a run that is cancelled from outside', async () => {
    const waits = flow('waits', async () => {
      await step('a')
      await sleep('30d')
    })
    const { points } = await crashEverywhere(waits, [], {
      ...options,
      drive: (run) => {
        run.transitions.subscribe(({ task: name, to }) => {
          if (name === 'step' && to.name === 'Completed') void run.cancel('enough')
        })
      },
    })
    expect(points).toBeGreaterThan(8)
  })

  it('signals and inputs that each process is sent', async () => {
    const asks = flow('asks', async () => {
      const order = await receive<string>('order')
      await step(order)
      const answer = await waitForInput()
      const late = await receive('never', { timeout: '1d' }).catch((error: RunError) => error.code)
      return [order, answer, await step(late)]
    })
    const ended: unknown[] = []
    const { points } = await crashEverywhere(asks, [], {
      ...options,
      drive(run) {
        void run.signal('order', 'tea').catch(() => undefined)
        // What was paused before is told again, and waits for nothing any more.
        run.states.subscribe(({ name }) => {
          if (name === 'Paused') void run.resume('yes').catch(() => undefined)
        })
      },
      check: async ({ run }) => ended.push(await run.result()),
    })
    expect(points).toBeGreaterThan(30)
    expect(new Set(ended.map(String))).toEqual(new Set(['tea,yes,WAIT_TIMEOUT']))
  })

  it('a run that is suspended while it waits', async () => {
    const sleeper = flow('sleeper', async () => {
      const first = await step('a')
      await sleep('30d')
      const late = await receive('never', { timeout: '1d' }).catch((error: RunError) => error.code)
      return [first, late, await step('b')]
    })
    const suspended = new Set<number>()
    const { points } = await crashEverywhere(sleeper, [], {
      ...options,
      engine: { suspendAfter: '1m' },
      drive(run) {
        run.transitions.subscribe(({ position, to }) => to.name === 'Suspended' && suspended.add(position))
      },
    })
    expect(points).toBeGreaterThan(40)
    expect(suspended.size).toBeGreaterThan(4)
  })

  it('a sample of its points, the same for the same seed', async () => {
    const three = flow('three', async () => {
      for (const key of ['a', 'b', 'c']) await step(key)
    })
    const tried = async (seed: number): Promise<number[]> => {
      const stored: number[] = []
      const check = ({ engine }: CrashedRun<unknown>): void => {
        stored.push((engine.journal as CrashingJournal).stored)
      }
      const { points } = await crashEverywhere(three, [], { ...options, seed, max: 6, check })
      expect(points).toBe(6)
      return stored
    }
    const first = await tried(1)
    expect(await tried(1)).toEqual(first)
    expect(await tried(2)).not.toEqual(first)
  })

  it('no options that it does not have', async () => {
    const nothing = flow('nothing', () => 1)
    const refused: unknown[] = [{ times: 0 }, { max: 1.5 }, { tries: 3 }, { effects: 7 }, { limit: 'soon' }]
    for (const wrong of refused) {
      await expect(crashEverywhere(nothing, [], wrong as CrashOptions<number>)).rejects.toMatchObject({
        code: expect.stringMatching(/^INVALID_(OPTION|DURATION)$/),
      })
    }
  })
})
