import { ConcurrentTaskRunner, flow, inputs, sleep, task, uuid } from '@troupe/core'
import { describe, expect, it } from 'vitest'
import { deferred, outcomeOf, quiet, testEngine, statesOf } from './support.ts'

const held = (e: { limits: { list(): readonly { held: number; waiting: number }[] } }) =>
  e.limits.list().map(({ held, waiting }) => `${held}/${waiting}`).join(' ')

describe('x', () => {
  it('rate shortened while waiting', async () => {
    await using engine = testEngine({ limits: [{ task: 'r', rate: { count: 1, per: '1h' } }] })
    const t0 = engine.clock.now()
    const r = task('r', () => engine.clock.now() - t0)
    const run = flow('f', async () => [await r(), await r()])()
    await quiet()
    engine.limits.set({ task: 'r', rate: { count: 1, per: '1s' } })
    console.log(await engine.settle(run))
  })
  it('cancel with id', async () => {
    await using engine = testEngine({ limits: [{ flow: 'f1', concurrency: 1 }] })
    const f = flow('f1', () => 1)
    const run = f.with({ id: 'x' })()
    void run.cancel()
    await quiet()
    console.log('id cancel', held(engine), run.state.name)
  })
  it('cancel after uuid', async () => {
    await using engine = testEngine({ limits: [{ task: 't1', concurrency: 1 }] })
    const t = task('t1', () => 1)
    const run = flow('f', async () => { uuid(); const a = t(); void a.cancel(); await a.wait() })()
    await engine.settle(run)
    console.log('uuid cancel', held(engine), run.state.name)
  })
  it('cancel during retry with history', async () => {
    await using engine = testEngine({ limits: [{ task: 'outer', concurrency: 1 }] })
    const inner = task('inner', () => 1)
    const gate = deferred()
    const outer = task({ name: 'outer', retries: 3 }, async () => { await inner(); await gate.promise; throw new Error('x') })
    let o: ReturnType<typeof outer> | undefined
    engine.transitions.subscribe(({ runName, to }) => { if (runName === 'outer-1' && to.name === 'Retrying') void o?.cancel() })
    const run = flow('f', async () => { o = outer(); await o.wait() })()
    await quiet(); gate.resolve()
    await engine.settle(run)
    console.log('retry cancel', held(engine), run.state.name, o === undefined ? '' : await statesOf(engine, o))
  })
  it('paused cancel', async () => {
    await using engine = testEngine({ limits: [{ task: 'p1', concurrency: 1 }] })
    const gate = deferred()
    const p = task('p1', () => gate.promise)
    const run = flow('f', async () => { await p(); await p() })()
    const run2 = flow('f', async () => { await p() })()
    await quiet()
    console.log('before', held(engine))
    await run2.pause()
    gate.resolve()
    await quiet()
    console.log('paused', held(engine))
    void run2.cancel()
    await quiet()
    console.log('paused cancel', held(engine), run2.state.name, run.state.name)
  })
  it('A/B head of line deadlock', async () => {
    await using engine = testEngine({ limits: [{ task: 'o', concurrency: 1 }, { tag: 'db', concurrency: 1 }] })
    const inner = task({ name: 'i', tags: ['db'] }, () => 1)
    const outer = task('o', async (n: number) => { await sleep(100); return n === 1 ? await inner() : n })
    const run = flow('f', async () => { const a = outer(1); const b = outer.with({ tags: ['db'] })(2); return [await a, await b] })()
    console.log('hol', await Promise.race([engine.settle(run), quiet(300).then(() => 'HANG')]), held(engine))
  })
  it('cross deadlock', async () => {
    await using engine = testEngine({ limits: [{ task: 'p', concurrency: 1 }, { task: 'q', concurrency: 1 }] })
    const pc = task('p', async (deep: boolean): Promise<number> => { await sleep(10); return deep ? await qc(false) : 1 })
    const qc = task('q', async (deep: boolean): Promise<number> => { await sleep(10); return deep ? await pc(false) : 1 })
    const run = flow('f', async () => [pc(true), qc(true)])()
    console.log('cross', await Promise.race([engine.settle(run).catch(String), quiet(300).then(() => 'HANG')]), held(engine))
  })
  it('cache deadlock', async () => {
    await using engine = testEngine({ limits: [{ tag: 'l', concurrency: 1 }] })
    const c = task({ name: 'c', tags: ['l'], cache: inputs() }, async (n: number) => n)
    const p = task({ name: 'p', tags: ['l'] }, async () => { await sleep(100); return await c(1) })
    const run = flow('f', async () => [p(), c(1)])()
    console.log('cache', await Promise.race([engine.settle(run).catch(String), quiet(300).then(() => 'HANG')]), held(engine))
  })
  it('rate and runner', async () => {
    await using engine = testEngine({ limits: [{ task: 'r', rate: { count: 1, per: '1s' } }] })
    const t0 = engine.clock.now()
    const r = task('r', () => engine.clock.now() - t0)
    const b = task('b', () => sleep('10s'))
    const run = flow({ name: 'f', taskRunner: new ConcurrentTaskRunner({ limit: 1 }) }, async () => { b(); return [r(), r(), r(), r()] })()
    console.log('rates', await engine.settle(run))
  })
  it('misuse', async () => {
    for (const bad of [null, undefined, 1, 'x', {}, { tag: 'x' }, { tag: 'x', concurrency: 1, typo: 3 }, { tag: 'x', rate: null }, { tag: 'x', rate: 5 }, { tag: 5, concurrency: 1 }, { tag: null, task: 'x', concurrency: 1 }, { tag: 'x', concurrency: null }, { tag: 'x', rate: { count: 1, per: '1 week' } }]) {
      await using engine = testEngine()
      try { engine.limits.set(bad as never); console.log('ok', bad, engine.limits.list()) } catch (e) { console.log(bad, String(e), (e as {code: string}).code) }
      try { engine.limits.remove(bad as never); console.log('rm ok', bad) } catch (e) { console.log('rm', bad, String(e)) }
    }
    expect(1).toBe(1)
  })
  it('lower', async () => {
    await using engine = testEngine({ limits: [{ tag: 'l', rate: { count: 1, per: '1s' } }] })
    const c = task({ name: 'c', tags: ['l'] }, async (n: number) => n)
    const p = task({ name: 'p', tags: ['l'] }, async () => { await sleep(100); return await c(1) })
    const run = flow('f', async () => [p(), c(2)])()
    await quiet()
    engine.clock.advance(100)
    await quiet()
    console.log('lower', held(engine))
    engine.limits.set({ tag: 'l', concurrency: 1 })
    console.log('lower', await Promise.race([engine.settle(run).catch(String), quiet(300).then(() => 'HANG')]), held(engine))
  })
  it('waitTimeout message on runner', async () => {
    await using engine = testEngine({ limits: [{ task: 'r', concurrency: 1 }] })
    const r = task({ name: 'r', waitTimeout: '1s' }, () => 1)
    const b = task('b', () => sleep('10s'))
    const run = flow({ name: 'f', taskRunner: new ConcurrentTaskRunner({ limit: 1 }) }, async () => { b(); return r() })()
    console.log('wt', await outcomeOf(engine, run))
  })
})
