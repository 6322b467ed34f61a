/** Whether an engine is open, and ready for work. */
import { createEngine, memoryJournal, memoryTransport } from '@troupe/core'
import { createTestEngine, virtualClock } from '@troupe/core/testing'
import { describe, expect, it } from 'vitest'

describe('health', () => {
  it('of an engine alone is ready from the start until it closes', async () => {
    const engine = createTestEngine()
    expect(engine.health()).toMatchObject({ open: true, ready: true, unready: [] })
    const closed = engine.close()
    expect(engine.health()).toMatchObject({
      open: false,
      ready: false,
      unready: ['it is closing, or closed'],
    })
    await closed
    expect(engine.health()).toMatchObject({ open: false, ready: false })
  })

  it('of a node is ready when the others know of it', async () => {
    const engine = createTestEngine({ transport: memoryTransport() })
    expect(engine.health()).toMatchObject({
      open: true,
      ready: false,
      unready: ['the other nodes do not know of it yet'],
    })
    await engine.settle(engine.announced())
    expect(engine.health()).toMatchObject({ open: true, ready: true, unready: [] })
    await engine.settle(engine.close())
  })

  it('of a node is not ready while it is cut off, and still open', async () => {
    const transport = memoryTransport()
    const engine = createTestEngine({ transport, node: 'a' })
    await engine.settle(engine.announced())
    transport.partition('a')
    expect(engine.health()).toMatchObject({
      open: true,
      ready: false,
      unready: ['it is cut off from the others'],
    })
    transport.heal('a')
    expect(engine.health()).toMatchObject({ open: true, ready: true, unready: [] })
    await engine.settle(engine.close())
  })

  it('says why an engine could not be open', async () => {
    const clock = virtualClock()
    const transport = memoryTransport()
    const quiet = { debug() {}, info() {}, warn() {}, error() {} }
    const first = createEngine({ transport, node: 'a', clock, logger: quiet })
    await clock.run(first.announced())
    const second = createEngine({ transport, node: 'a', clock, logger: quiet })
    await clock.run(second.announced().catch(() => undefined))
    expect(second.health()).toMatchObject({ open: false, ready: false })
    expect(second.health().unready).toEqual([expect.stringMatching(/^it was closed: .*a/)])
    expect(first.health().ready).toBe(true)
    await clock.run(Promise.all([first.close(), second.close()]))
  })

  it('of engines over a journal that knows no nodes needs nobody to know of them', async () => {
    const engine = createTestEngine({ journal: memoryJournal() })
    await engine.settle(engine.announced())
    expect(engine.health().ready).toBe(true)
    await engine.close()
  })
})
