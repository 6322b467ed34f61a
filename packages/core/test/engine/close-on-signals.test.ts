import { closeOnSignals, createEngine, flow, type Engine } from '@troupe/core'
import { afterEach, describe, expect, it, vi } from 'vitest'

const signal = 'SIGUSR2'

describe('engines that close on signals', () => {
  const ends: (() => void)[] = []

  afterEach(() => {
    for (const end of ends.splice(0)) end()
    vi.restoreAllMocks()
  })

  /** An engine with a run that ends when it is told to. */
  function busy(): { readonly engine: Engine; readonly finish: () => void; readonly stop: () => void } {
    let finish = (): void => undefined
    const until = new Promise<void>((resolve) => (finish = resolve))
    const engine = createEngine()
    engine.run(flow('waits', () => until)).ignore()
    const stop = closeOnSignals(engine, { signals: [signal] })
    ends.push(stop, finish)
    return { engine, finish, stop }
  }

  it('end their process when the last of them is closed', async () => {
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true)
    const [first, last] = [busy(), busy()]
    process.emit(signal, signal)
    first.finish()
    await first.engine.close()
    expect(kill).not.toHaveBeenCalled()
    last.finish()
    await last.engine.close()
    expect(kill.mock.calls).toEqual([[process.pid, signal]])
    expect(process.listenerCount(signal)).toBe(0)
  })

  it('end it at once by a second signal', async () => {
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true)
    const all = [busy(), busy()]
    process.emit(signal, signal)
    expect(kill).not.toHaveBeenCalled()
    process.emit(signal, signal)
    expect(kill.mock.calls[0]).toEqual([process.pid, signal])
    expect(process.listenerCount(signal)).toBe(0)
    for (const { engine, finish } of all) {
      finish()
      await engine.close()
    }
  })
})
