import type { Engine } from '@troupe/core'

/**
 * What a probe of an orchestrator is answered: 200 where an engine is as it asks, 503 where it is not, with `engine.health()` as JSON.
 *
 * @param probe - `'ready'`, the default: may work be sent to it? `'live'`: is its process worth keeping? It is until the engine closes, or
 * has to; a server that is down is no reason to restart anything.
 * @public
 */
export function healthResponse(engine: Pick<Engine, 'health'>, probe: 'live' | 'ready' = 'ready'): Response {
  const health = engine.health()
  const isWell = probe === 'live' ? health.open : health.ready
  return Response.json(health, { status: isWell ? 200 : 503, headers: { 'cache-control': 'no-store' } })
}
