import { createEngine, flow, receive, type Engine } from '@troupe/core'
import { afterEach, describe, expect, it } from 'vitest'
import { natsTransport } from '../../src/index.ts'
import { useServer, versions } from '../servers/index.ts'
import { hostOf } from '../support.ts'

const waits = flow('waits', async () => receive<string>('go'))
let namespaces = 0

describe.each(versions)('an engine that only reads, on the %s server', (version) => {
  const server = useServer({ version })
  const engines: Engine[] = []
  afterEach(async () => {
    for (const engine of engines.splice(0)) await engine.close()
  })

  /** An engine that owns flow runs, and one that only reads. */
  const pair = (): { readonly owner: Engine; readonly reader: Engine; readonly errors: unknown[] } => {
    const where = { servers: server().url, namespace: `read-only-${++namespaces}` }
    const owner = createEngine({ node: 'owner', transport: natsTransport(where), serve: { flows: [waits] } })
    const reader = createEngine({ node: 'reader', transport: natsTransport({ ...where, readOnly: true }) })
    const errors: unknown[] = []
    reader.errors.subscribe((error) => errors.push(error))
    engines.push(owner, reader)
    return { owner, reader, errors }
  }

  it('lists and watches what others run', async () => {
    const { owner, reader, errors } = pair()
    const run = await owner.run('waits')
    const states: string[] = []
    for await (const { to } of reader.watch({ flowRunId: run.id })) {
      states.push(to.name)
      if (to.name === 'Running') await run.signal('go', 'on')
    }
    expect(states.slice(0, 2)).toEqual(['Pending', 'Running'])
    expect(states.at(-1)).toBe('Completed')
    const [listed] = await reader.list({ flow: 'waits' })
    expect(await listed?.result()).toBe('on')
    expect(errors).toEqual([])
  })

  it('is refused what it would write, before a server is asked', async () => {
    const { owner, reader } = pair()
    const run = await owner.run('waits')
    const seen = await reader.get(run.id)
    if (seen?.kind !== 'flow') throw new TypeError('it sees a flow run')
    await expect(seen.signal('go', 'forged')).rejects.toMatchObject({ code: 'READ_ONLY' })
    await expect(seen.cancel('forged')).rejects.toMatchObject({ code: 'READ_ONLY' })
    await expect(reader.run('waits')).rejects.toMatchObject({ code: 'READ_ONLY' })
    await run.signal('go', 'by the owner')
    expect(await run.result()).toBe('by the owner')
  })

  it('serves nothing: what it did it could not report', async () => {
    const transport = natsTransport({ servers: server().url, readOnly: true })
    const serving = createEngine({ transport, serve: { flows: [waits], tasks: { work: 1 } } })
    engines.push(serving)
    const told: unknown[] = []
    serving.errors.subscribe(({ error }) => told.push(error))
    await expect(serving.run(waits)).rejects.toMatchObject({ code: 'READ_ONLY' })
    expect(told).toContainEqual(expect.objectContaining({ code: 'READ_ONLY' }))
  })

  it('is no node: others see it nowhere, and it sees them', async () => {
    const where = { servers: server().url, namespace: `read-only-${++namespaces}` }
    const [owner, reader] = [natsTransport(where), natsTransport({ ...where, readOnly: true })].map(
      (transport, index) => transport.open({ ...hostOf(), node: index === 0 ? 'owner' : 'reader' }),
    )
    await owner?.nodes.announce('owner', { node: 'owner', flows: ['waits@1'], queues: {} })
    await reader?.nodes.announce('reader')
    const there = [{ node: 'owner', flows: ['waits@1'], queues: {} }]
    expect(await owner?.nodes.list()).toEqual(there)
    expect(await reader?.nodes.list()).toEqual(there)
    await reader?.close()
    await owner?.close()
  })
})
