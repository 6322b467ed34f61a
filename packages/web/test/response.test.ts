/** What a response says, and when. */
import { flow, JournalError, memoryJournal, sleep, task, type Transition } from '@troupe/core'
import { transitionResponse, type TransitionResponseOptions } from '@troupe/web'
import { describe, expect, it } from 'vitest'
import { eventsOf, listening, quick, rest, shown, steps, testEngine, transitionsOf } from './support.ts'

const request = (headers: Record<string, string> = {}, path = '/'): Request =>
  new Request(`http://localhost${path}`, { headers })

/** Reads a stream piece by piece. */
function reading(response: Response): {
  next: () => Promise<string | undefined>
  cancel: () => Promise<void>
} {
  const reader = response.body?.getReader()
  const decoder = new TextDecoder()
  return {
    async next() {
      const result = await reader?.read()
      return result?.done === false ? decoder.decode(result.value, { stream: true }) : undefined
    },
    cancel: async () => reader?.cancel(),
  }
}

describe('a response', () => {
  it('has all transitions of a run that has ended, and says that it has', async () => {
    await using engine = testEngine()
    const run = quick(1)
    await engine.settle(run)
    const response = await transitionResponse(engine.watch({ flowRunId: run.id }), request())
    expect(response.status).toBe(200)
    expect(Object.fromEntries(response.headers)).toEqual({
      'cache-control': 'no-cache, no-transform',
      'content-type': 'text/event-stream; charset=utf-8',
      'x-accel-buffering': 'no',
    })
    const events = eventsOf(await response.text())
    expect(events[0]).toEqual({ retry: '1000' })
    expect(shown(transitionsOf(events))).toEqual([
      'quick Pending',
      'quick Running',
      'step-1 Pending',
      'step-1 Running',
      'step-1 Completed',
      'quick Completed',
    ])
    expect(events.slice(1, -1).map(({ id }) => id)).toEqual(
      transitionsOf(events).map(({ position, startedAt }) => `${run.id}:${position}:${startedAt}`),
    )
    expect(events.at(-1)).toEqual({ id: 'end', event: 'end', data: '{}' })
  })

  it('goes on with what comes, a commit at a time', async () => {
    await using engine = testEngine()
    const { clock } = engine
    const run = steps(2)
    await rest()
    const response = await transitionResponse(engine.watch({ flowRunId: run.id }), request(), { clock })
    const { next, cancel } = reading(response)
    expect(await next()).toBe('retry: 1000\n\n')
    expect(transitionsOf(eventsOf((await next()) ?? ''))).toHaveLength(5)
    const more = next()
    await run.signal('go')
    expect(shown(transitionsOf(eventsOf((await more) ?? '')))[0]).toBe('step-2 Pending')
    await cancel()
  })

  it.each(['header', 'query'])('goes on after the last event that the client got, by its %s', async (by) => {
    await using engine = testEngine()
    const run = quick(1)
    await engine.settle(run)
    const watched = engine.watch({ flowRunId: run.id })
    const all = eventsOf(await (await transitionResponse(watched, request())).text()).slice(1)
    for (const [index, { id = '' }] of all.slice(0, -1).entries()) {
      const again =
        by === 'header'
          ? request({ 'last-event-id': id })
          : request({}, `/?lastEventId=${encodeURIComponent(id)}&x=1`)
      const rest = eventsOf(await (await transitionResponse(watched, again)).text()).slice(1)
      expect(rest).toEqual(all.slice(index + 1))
    }
  })

  it('goes by the header where there is both: an EventSource repeats the address that it began with', async () => {
    await using engine = testEngine()
    const run = quick(1)
    await engine.settle(run)
    const again = request({ 'last-event-id': `${run.id}:6` }, `/?lastEventId=${run.id}%3A2`)
    const response = await transitionResponse(engine.watch({ flowRunId: run.id }), again)
    const seen = transitionsOf(eventsOf(await response.text()))
    expect(seen.every(({ position }) => position > 6)).toBe(true)
    expect(seen.length).toBeGreaterThan(0)
  })

  it.each(['other:5', 'nonsense', ':', '7', 'a b:3', 'end '.repeat(2), '%00', `x:${'9'.repeat(30)}`])(
    'begins anew for an id that is not of this run: %s',
    async (id) => {
      await using engine = testEngine()
      const run = quick(1)
      await engine.settle(run)
      const response = await transitionResponse(
        engine.watch({ flowRunId: run.id }),
        request({}, `/?lastEventId=${encodeURIComponent(id)}`),
      )
      expect(transitionsOf(eventsOf(await response.text()))).toHaveLength(6)
    },
  )

  it('is from its beginning for a client that had another flow run of the same id, which is forgotten', async () => {
    await using engine = testEngine({ journal: memoryJournal({ keep: 1 }) })
    const idsOf = async (id: string, place?: string): Promise<(string | undefined)[]> => {
      const asked = request(place === undefined ? {} : { 'last-event-id': place })
      const response = await transitionResponse(engine.watch({ flowRunId: id }), asked)
      return eventsOf(await response.text()).flatMap(({ id: place }) =>
        place === 'end' ? [] : (place ?? []),
      )
    }
    await engine.settle(quick.with({ id: 'a' })(1))
    const before = await idsOf('a')
    engine.clock.advance(1_000)
    await engine.settle(quick.with({ id: 'b' })(1))
    await engine.settle(quick.with({ id: 'a' })(1))
    const after = await idsOf('a')
    expect(after).toHaveLength(6)
    expect(after).not.toEqual(before)
    expect(await idsOf('a', before[3])).toEqual(after)
    expect(await idsOf('a', after[3])).toEqual(after.slice(4))
    // As servers said it before.
    expect(await idsOf('a', 'a:4')).toEqual(after.slice(3))
  })

  it('tells a client that has seen the end not to come again', async () => {
    await using engine = testEngine()
    const response = await transitionResponse(
      engine.watch({ flowRunId: 'whatever' }),
      request({ 'last-event-id': 'end' }),
    )
    expect([response.status, response.body]).toEqual([204, null])
  })

  it('does not say that a run has ended when its engine is closed: the client comes again', async () => {
    const engine = testEngine()
    const run = steps(1)
    await rest()
    const response = await transitionResponse(engine.watch({ flowRunId: run.id }), request())
    const text = response.text()
    await rest()
    await engine.close()
    const events = eventsOf(await text)
    expect(transitionsOf(events)).toHaveLength(5)
    expect(events.map(({ event }) => event)).not.toContain('end')
  })

  it('of all flow runs begins anew for each client, and has no end', async () => {
    await using engine = testEngine()
    const { clock } = engine
    const [first, second] = [quick(1), quick(2)]
    await engine.settle(Promise.all([first, second]))
    const again = request({ 'last-event-id': `${first.id}:4` })
    const response = await transitionResponse(engine.watch({}), again, { clock })
    const { next, cancel } = reading(response)
    await next()
    const seen = transitionsOf(eventsOf((await next()) ?? ''))
    expect(seen.filter(({ flowRunId }) => flowRunId === second.id)).toHaveLength(6)
    expect(seen.filter(({ flowRunId }) => flowRunId === first.id).map(({ position }) => position)[0]).toBe(5)
    await cancel()
  })

  it('can show less, and leave out transitions', async () => {
    await using engine = testEngine()
    const run = quick(1)
    await engine.settle(run)
    const show = ({ kind, to }: Transition): unknown => (kind === 'flow' ? { is: to.name } : undefined)
    const response = await transitionResponse(engine.watch({ flowRunId: run.id }), request(), { show })
    const events = eventsOf(await response.text())
    expect(events.flatMap(({ event, data }) => (event === 'transition' ? [data] : []))).toEqual([
      '{"is":"Pending"}',
      '{"is":"Running"}',
      '{"is":"Completed"}',
    ])
    expect(events.at(-1)?.event).toBe('end')
  })

  it('fails where `show` does, and watches no more', async () => {
    const { journal, count } = listening()
    await using engine = testEngine({ journal })
    const before = count()
    const run = steps(1)
    await rest()
    const broken = new TypeError('broken')
    const response = await transitionResponse(engine.watch({ flowRunId: run.id }), request(), {
      show: () => {
        throw broken
      },
    })
    await expect(response.text()).rejects.toBe(broken)
    expect(count()).toBe(before)
  })

  it('can not be left by what a run is called, or what it failed with', async () => {
    await using engine = testEngine()
    const nasty = 'x\n\nevent: end\ndata: {}\r\n\r\nid: 1\u2028\u0000:'
    const run = flow({ name: 'nasty', runName: nasty }, () => {
      throw new Error(nasty)
    })()
    await engine.settle(run.wait())
    const response = await transitionResponse(engine.watch({ flowRunId: run.id }), request())
    const events = eventsOf(await response.text())
    expect(events.map(({ event }) => event)).toEqual([
      undefined,
      'transition',
      'transition',
      'transition',
      'end',
    ])
    expect(transitionsOf(events).at(-1)).toMatchObject({ runName: nasty, to: { message: nasty } })
  })
})

describe('while nothing happens', () => {
  it('a comment goes out after each heartbeat, and nothing gathers', async () => {
    await using engine = testEngine()
    const { clock } = engine
    const run = steps(1)
    await rest()
    const watched = engine.watch({ flowRunId: run.id })
    const { next, cancel } = reading(await transitionResponse(watched, request(), { clock, heartbeat: '5s' }))
    await next()
    await next()
    for (let beat = 0; beat < 3; beat++) {
      const started = clock.now()
      expect(await clock.run(next())).toBe(':\n\n')
      expect(clock.now() - started).toBe(5_000)
    }
    await cancel()
  })

  it('the response of a watch of everything is there, though there is nothing yet', async () => {
    await using engine = testEngine()
    const { clock } = engine
    const response = await clock.run(transitionResponse(engine.watch({}), request(), { clock }))
    const { next, cancel } = reading(response)
    expect(await next()).toBe('retry: 1000\n\n')
    const first = next()
    await engine.settle(quick(1))
    expect(shown(transitionsOf(eventsOf((await first) ?? '')))[0]).toBe('quick Pending')
    await cancel()
  })
})

describe('a watch ends at once', () => {
  it('when the request is aborted', async () => {
    const { journal, count } = listening()
    await using engine = testEngine({ journal })
    const before = count()
    const run = steps(1)
    await rest()
    const gone = new AbortController()
    const asked = new Request('http://localhost/', { signal: gone.signal })
    const response = await transitionResponse(engine.watch({ flowRunId: run.id }), asked, {
      clock: engine.clock,
    })
    const { next } = reading(response)
    await next()
    await next()
    const pending = next()
    await rest()
    expect(count()).toBe(before + 1)
    const waiting = engine.clock.waiting
    gone.abort()
    expect(count()).toBe(before)
    expect(engine.clock.waiting).toBeLessThan(waiting)
    expect(await pending).toBeUndefined()
  })

  it('when it was aborted before', async () => {
    const { journal, count } = listening()
    await using engine = testEngine({ journal })
    const before = count()
    const run = steps(1)
    const asked = new Request('http://localhost/', { signal: AbortSignal.abort() })
    const response = await transitionResponse(engine.watch({ flowRunId: run.id }), asked)
    expect(await response.text()).toBe('')
    expect(count()).toBe(before)
  })

  it('when the body is cancelled', async () => {
    const { journal, count } = listening()
    await using engine = testEngine({ journal })
    const before = count()
    const run = steps(1)
    await rest()
    const response = await transitionResponse(engine.watch({ flowRunId: run.id }), request())
    const { next, cancel } = reading(response)
    await next()
    await next()
    const pending = next()
    await cancel()
    expect(count()).toBe(before)
    expect(await pending).toBeUndefined()
  })

  it('after a look without a body (HEAD)', async () => {
    const { journal, count } = listening()
    await using engine = testEngine({ journal })
    const before = count()
    const run = steps(1)
    await rest()
    const head = new Request('http://localhost/', { method: 'HEAD' })
    const response = await transitionResponse(engine.watch({ flowRunId: run.id }), head)
    expect([response.status, response.body]).toEqual([200, null])
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    expect(count()).toBe(before)
  })
})

describe('what can not be watched', () => {
  it('is said before the stream begins: 404, 405, 503', async () => {
    const { journal, count } = listening()
    const engine = testEngine({ journal })
    const before = count()
    const unknown = await transitionResponse(engine.watch({ flowRunId: 'no\nsuch' }), request())
    expect(unknown.status).toBe(404)
    expect(await unknown.json()).toMatchObject({ code: 'RUN_NOT_FOUND' })
    const head = new Request('http://localhost/', { method: 'HEAD' })
    expect((await transitionResponse(engine.watch({ flowRunId: 'none' }), head)).status).toBe(404)
    const post = new Request('http://localhost/', { method: 'POST' })
    const refused = await transitionResponse(engine.watch({ flowRunId: 'none' }), post)
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    expect(count()).toBe(before)
    await engine.close()
    await journal.close()
    const closed = await transitionResponse(engine.watch({ flowRunId: 'none' }), request())
    expect(closed.status).toBe(503)
  })

  it.each(['JOURNAL_UNAVAILABLE', 'TRANSPORT_UNAVAILABLE'] as const)(
    'tells no client where servers are, but whoever asks for that (%s)',
    async (code) => {
      const { journal } = listening()
      const failure = new JournalError(code, 'no answer at nats://10.0.0.7:4222', { details: {} })
      journal.summary = () => Promise.reject(failure)
      const engine = testEngine({ journal })
      const told: unknown[] = []
      const onUnavailable = (error: unknown): number => told.push(error)
      const response = await transitionResponse(engine.watch({ flowRunId: 'x' }), request(), {
        onUnavailable,
      })
      expect(response.status).toBe(503)
      expect(await response.json()).toEqual({ code, message: expect.not.stringMatching(/\d/) as string })
      expect(told).toEqual([failure])
      await engine.close()
    },
  )

  it('fails like the journal where nobody knows better', async () => {
    const { journal } = listening()
    const broken = new TypeError('broken')
    journal.summary = () => Promise.reject(broken)
    const engine = testEngine({ journal })
    await expect(transitionResponse(engine.watch({ flowRunId: 'x' }), request())).rejects.toBe(broken)
    await engine.close()
  })
})

it('refuses options that can not be meant', async () => {
  await using engine = testEngine()
  for (const options of [
    { idle: 'keep' },
    { onUnavailable: 1 },
    { heartbeat: 0 },
    { retry: '1 s.' },
    { show: 1 },
    { beat: 1 },
  ]) {
    const response = transitionResponse(engine.watch({}), request(), options as TransitionResponseOptions)
    await expect(response).rejects.toMatchObject({ code: expect.stringMatching(/^INVALID_/) as unknown })
  }
})

describe('a client that does not read', () => {
  const busy = task('busy', (n: number) => n)
  const many = flow('many', async (n: number) => {
    for (let i = 0; i < n; i++) await busy(i)
    await sleep('1d')
  })

  it('is cut off after a while, and its watch ends', async () => {
    const { journal, count } = listening()
    await using engine = testEngine({ journal })
    const { clock } = engine
    const before = count()
    const run = many(50)
    await rest(400)
    const response = await transitionResponse(engine.watch({ flowRunId: run.id }), request(), { clock })
    const { next } = reading(response)
    expect(await next()).toBe('retry: 1000\n\n')
    expect(await next()).toContain('many')
    await rest()
    expect(count()).toBe(before + 1)
    clock.advance(59_999)
    expect(count()).toBe(before + 1)
    clock.advance(1)
    expect(count()).toBe(before)
    await expect(next()).rejects.toMatchObject({ code: 'WATCHER_DROPPED' })
  })

  it('is cut off also where its server never read the body', async () => {
    const { journal, count } = listening()
    await using engine = testEngine({ journal })
    const { clock } = engine
    const before = count()
    const run = many(1)
    await rest()
    await transitionResponse(engine.watch({ flowRunId: run.id }), request(), { clock, idleAfter: '10s' })
    expect(count()).toBe(before + 1)
    clock.advance(10_000)
    expect(count()).toBe(before)
  })

  it('that reads within its time, or is not hurried, is not', async () => {
    await using engine = testEngine()
    const { clock } = engine
    const run = many(1)
    await rest()
    const hurried = reading(
      await transitionResponse(engine.watch({ flowRunId: run.id }), request(), { clock }),
    )
    const idle = await transitionResponse(engine.watch({ flowRunId: run.id }), request(), {
      clock,
      idle: 'wait',
    })
    await hurried.next()
    await hurried.next()
    for (let minute = 0; minute < 10; minute++) {
      clock.advance(59_000)
      expect(await clock.run(hurried.next())).toBe(':\n\n')
    }
    clock.advance(3_600_000)
    const late = reading(idle)
    expect(await late.next()).toBe('retry: 1000\n\n')
    expect(await late.next()).toContain('busy-1')
    await hurried.cancel().catch(() => undefined)
    await late.cancel()
  })

  it('costs no more than a place: what it takes later is read from the journal then', async () => {
    await using engine = testEngine()
    const { clock } = engine
    const run = many(3_000)
    await rest()
    const watched = engine.watch({ flowRunId: run.id })
    let pulled = 0
    const counted = Object.assign(Object.create(watched) as typeof watched, {
      [Symbol.asyncIterator]: () => {
        const iterator = watched[Symbol.asyncIterator]()
        const next = iterator.next.bind(iterator)
        iterator.next = async () => {
          pulled++
          return next()
        }
        return iterator
      },
    })
    const response = await transitionResponse(counted, request(), { clock, idle: 'wait' })
    const { next, cancel } = reading(response)
    await next()
    await until(async () => (await engine.get(run.id)) !== undefined && pulled > 0)
    await engine.settle(new Promise<void>((resolve) => void finished(run.id).then(resolve)))
    // One is under way, and nothing more was asked for.
    expect(pulled).toBe(1)
    const positions: number[] = []
    while (positions.length < 3 * 3_000 + 2) {
      const text = (await next()) ?? ''
      expect(text.length).toBeLessThan(16_384 + 1_000)
      positions.push(...transitionsOf(eventsOf(text)).map(({ position }) => position))
    }
    expect(positions).toEqual([...positions].sort((a, b) => a - b))
    expect(new Set(positions).size).toBe(3 * 3_000 + 2)
    await cancel()

    async function finished(id: string): Promise<void> {
      let completed = 0
      for await (const { to } of engine.watch({ flowRunId: id })) {
        if (to.name === 'Completed' && ++completed === 3_000) return
      }
    }
    async function until(what: () => Promise<boolean>): Promise<void> {
      while (!(await what())) await rest(1)
    }
  })
})
