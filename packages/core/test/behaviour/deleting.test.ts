/** `engine.delete`: one flow run is forgotten, with all that belongs to it, and nothing that is still needed. */
import { flow, memoryJournal, sleep, task } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { code, errorOf, quiet, testEngine } from './support.ts'

const step = task('step', (n: number) => n + 1)
const child = flow('child', (n: number) => step(n))
const parent = flow('parent', async (n: number) => child(await child(n)))

describe('engine.delete', () => {
  it('forgets a flow run that has ended with its subflows, and no other', async () => {
    await using engine = testEngine()
    const kept = engine.run(parent, 1)
    const gone = engine.run(parent, 2)
    expect(await engine.settle(Promise.all([kept, gone]))).toEqual([3, 4])
    const { id } = gone.handle
    const below = (await engine.list({ parent: id })).map((handle) => handle.id)
    expect(below).toHaveLength(2)

    expect(await engine.delete(id)).toBe(true)
    for (const one of [id, ...below]) expect(await engine.get(one)).toBeUndefined()
    expect((await engine.list()).map((handle) => handle.id)).toEqual([kept.handle.id])
    expect(await engine.list({ parent: kept.handle.id })).toHaveLength(2)
    expect(await errorOf(engine.export(id))).toEqual(code('RUN_NOT_FOUND'))
    expect(await kept.handle.result()).toBe(3)
    expect(await engine.delete(id)).toBe(false)
  })

  it('lets a start by the same idempotency key begin anew', async () => {
    await using engine = testEngine()
    let bodies = 0
    const once = flow('once', () => ++bodies)
    const start = once.with({ engine, idempotencyKey: 'only' })
    expect(await engine.settle(start())).toBe(1)
    expect(await engine.settle(start())).toBe(1)
    expect(await engine.delete(start().handle.id)).toBe(true)
    expect(await engine.settle(start())).toBe(2)
  })

  it('refuses a flow run that has not ended, here or elsewhere, and leaves it as it is', async () => {
    const journal = memoryJournal()
    await using owner = testEngine({ journal, node: 'owner' })
    await using other = testEngine({ journal, node: 'other' })
    const run = owner.run(flow('slow', () => sleep('1h')))
    await quiet()
    for (const engine of [owner, other])
      expect(await errorOf(engine.delete(run.handle.id))).toEqual(code('RUN_NOT_ENDED', /Running.*cancel/))
    await owner.settle(run.handle.cancel())
    expect(await other.delete(run.handle.id)).toBe(true)
    expect(await owner.get(run.handle.id)).toBeUndefined()
  })

  it('refuses what is part of another run', async () => {
    await using engine = testEngine()
    const run = engine.run(parent, 1)
    await engine.settle(run)
    const [sub] = await engine.list({ parent: run.handle.id })
    expect(await errorOf(engine.delete(sub?.id ?? ''))).toEqual(code('INVALID_OPTION', /called by/))
    expect(await errorOf(engine.delete(`${run.handle.id}.abc`))).toEqual(code('INVALID_OPTION', /flow run/))
    expect(await errorOf(engine.delete(''))).toEqual(code('INVALID_OPTION'))
    expect(await engine.list({ parent: run.handle.id })).toHaveLength(2)
  })

  it('is refused by an engine that is closed', async () => {
    const engine = testEngine()
    await engine.close()
    expect(await errorOf(engine.delete('any'))).toEqual(code('ENGINE_CLOSED'))
  })
})
