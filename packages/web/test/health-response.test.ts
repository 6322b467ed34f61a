/** What probes are answered. */
import { createEngine, memoryTransport } from '@troupe/core'
import { healthResponse } from '@troupe/web'
import { describe, expect, it } from 'vitest'

describe('healthResponse', () => {
  it('says 200 to both probes of an engine that works, with its health', async () => {
    await using engine = createEngine()
    for (const probe of ['live', 'ready'] as const) {
      const response = healthResponse(engine, probe)
      expect(response.status).toBe(200)
      expect(response.headers.get('content-type')).toBe('application/json')
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(await response.json()).toEqual(engine.health())
    }
  })

  it('says that a node which the others do not know yet is live, and not ready', async () => {
    await using engine = createEngine({ transport: memoryTransport() })
    expect(healthResponse(engine, 'live').status).toBe(200)
    expect(healthResponse(engine).status).toBe(503)
    expect(await healthResponse(engine).json()).toMatchObject({
      unready: ['the other nodes do not know of it yet'],
    })
    await engine.announced()
    expect(healthResponse(engine).status).toBe(200)
  })

  it('says 503 to both once the engine closes', async () => {
    const engine = createEngine()
    await engine.close()
    expect([healthResponse(engine, 'live').status, healthResponse(engine, 'ready').status]).toEqual([
      503, 503,
    ])
  })
})
