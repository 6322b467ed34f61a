/** Transitions as programs in other languages get them: over plain NATS, as subjects and schema say. */
import { readFileSync } from 'node:fs'
import { createEngine, flow, task, type Engine, type Transition } from '@troupe/core'
import { checkTransitions, publishingConformance } from '@troupe/core/testing'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { unpack } from 'msgpackr/unpack'
import { afterEach, describe, expect, it } from 'vitest'
import { natsTransport, type NatsPublish, type NatsTransportOptions } from '../../src/index.ts'
import { textOf } from '../../src/tokens.ts'
import { useServer, versions } from '../servers/index.ts'
import { freshNamespace, hostOf } from '../support.ts'
import { RawClient } from './raw-client.ts'
import { runEverything } from './scenarios.ts'

const schema = JSON.parse(
  readFileSync(new URL('../../schema/transition.v1.schema.json', import.meta.url), 'utf8'),
) as { readonly properties: Readonly<Record<string, unknown>> }
const isValid = new Ajv2020({
  strict: true,
  strictTypes: true,
  strictRequired: false,
  allErrors: true,
}).compile(schema)

const label = task('label', (order: number) => order)
const ship = flow('ship', (order: number) => label(order))

/** Why a payload is not as the schema says. */
function faultsOf(payload: unknown): unknown[] {
  return isValid(payload) ? [] : [payload, ...(isValid.errors ?? [])]
}

/** The token of a task: names of more than 64 characters end in a hash. */
function taskTokenOf(task: string | undefined, token: string): string | undefined {
  if (task === undefined) return '_'
  if (task === '_') return '=5F'
  return task.length > 64 ? /^(?:long)+lo=h[0-9a-f]{32}$/.exec(token)?.[0] : undefined
}

/** What is published of a transition: texts that some readers would refuse are mended, and long ones cut. */
function asPublished(transition: Transition): unknown {
  const { message } = transition.to
  if (message === undefined) return { v: 1, ...transition }
  const cut = message.length > 8_192 ? `${message.slice(0, 8_191)}…` : message
  return { v: 1, ...transition, to: { ...transition.to, message: cut.replace('\ud800', '\ufffd') } }
}

describe.each(versions)('on the %s server', { timeout: 60_000 }, (version) => {
  const server = useServer({ version })
  const ends: (() => unknown)[] = []
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end()
  })

  function engineAt(namespace: string, options: NatsTransportOptions = { publish: 'json' }): Engine {
    const transport = natsTransport({ servers: server().url, namespace, ...options })
    const engine = createEngine({ node: 'n1', transport })
    ends.push(() => engine.close())
    return engine
  }

  async function rawClient(...subjects: string[]): Promise<RawClient> {
    const client = await RawClient.subscribe(server().url, subjects)
    ends.push(() => client.close())
    return client
  }

  it('a client without any library hears of every transition, as the schema says', async () => {
    const namespace = freshNamespace()
    const client = await rawClient(`${namespace}.live.v1.>`)
    const transitions = await runEverything(engineAt(namespace))
    await client.until((messages) => messages.length >= transitions.length)
    const payloads = client.messages.map(({ payload }) => JSON.parse(payload.toString('utf8')) as Transition)
    for (const payload of payloads) {
      expect(faultsOf(payload)).toEqual([])
      expect(Object.keys(schema.properties)).toEqual(expect.arrayContaining(Object.keys(payload)))
    }
    const order = (one: { flowRunId: string; position: number }): string =>
      `${one.flowRunId} ${String(one.position).padStart(6, '0')}`
    const sorted = <T>(list: readonly T[]): T[] =>
      list.toSorted((a, b) => (order(a as Transition) < order(b as Transition) ? -1 : 1))
    expect(sorted(payloads)).toEqual(sorted(transitions.map(asPublished)))
    checkTransitions(payloads)
    const states = new Set(payloads.map(({ to }) => to.name))
    for (const name of [
      'Pending',
      'Running',
      'AwaitingRetry',
      'Retrying',
      'Paused',
      'Cancelling',
      'Completed',
      'Cached',
      'Failed',
      'TimedOut',
      'UpstreamFailed',
      'Cancelled',
    ])
      expect([...states]).toContain(name)
  })

  it('a subject tells flow, flow run, task, run and type of state, whatever their names are', async () => {
    const namespace = freshNamespace()
    const client = await rawClient(`${namespace}.live.v1.>`)
    const transitions = await runEverything(engineAt(namespace))
    await client.until((messages) => messages.length >= transitions.length)
    const decoded: [string | undefined, string | undefined][] = []
    for (const { subject, payload } of client.messages) {
      const { flow: name, flowRunId, task: of, runId, to } = JSON.parse(payload.toString()) as Transition
      const [, , , flowToken = '', flowRun, taskToken = '', run, type, ...rest] = subject.split('.')
      expect(rest).toEqual([])
      expect(subject).toMatch(/^[!-~]+$/)
      expect([flowRun, type]).toEqual([flowRunId, to.type])
      expect(textOf(flowToken)).toBe(name)
      expect(runId).toBe(run === '_' ? flowRunId : `${flowRunId}.${run}`)
      expect(taskToken).toBe(taskTokenOf(of, taskToken) ?? taskToken)
      if (taskTokenOf(of, taskToken) === undefined) decoded.push([textOf(taskToken), of])
    }
    expect(decoded.map(([token]) => token)).toEqual(decoded.map(([, name]) => name))
    expect(decoded.map(([, name]) => name)).toContain('größe *.> of/日本')
  })

  it.each<[what: string, pattern: string, isIt: (transition: Transition) => boolean]>([
    ['one flow', 'failing.>', (one) => one.flow === 'failing'],
    [
      'the ends of flow runs that completed',
      '*.*._._.COMPLETED',
      (one) => one.kind === 'flow' && one.to.type === 'COMPLETED',
    ],
    ['what failed, flow run or task run', '*.*.*.*.FAILED', (one) => one.to.type === 'FAILED'],
    ['the task runs of one task', '*.*.add.*.*', (one) => one.task === 'add'],
    [
      'a flow whose name has signs',
      'every=20=3E=20thing=20=2A.*._._.>',
      (one) => one.runName === 'every > thing *',
    ],
  ])('a wildcard chooses %s', async (_, pattern, isIt) => {
    const namespace = freshNamespace()
    const all = await rawClient(`${namespace}.live.v1.>`)
    const some = await rawClient(`${namespace}.live.v1.${pattern}`)
    const transitions = await runEverything(engineAt(namespace))
    await all.until((messages) => messages.length >= transitions.length)
    await some.flush()
    const idOf = ({ runId, seq }: Transition): string => `${runId} ${seq}`
    const heard = some.messages.map(({ payload }) => idOf(JSON.parse(payload.toString()) as Transition))
    const expected = transitions.filter(isIt).map(idOf)
    expect(expected.length).toBeGreaterThan(0)
    expect(heard.toSorted()).toEqual(expected.toSorted())
  })

  it('publishes the same in msgpack, which any reader of it can read', async () => {
    const namespace = freshNamespace()
    const client = await rawClient(`${namespace}.live.v1.>`)
    const transitions = await runEverything(engineAt(namespace, { publish: 'msgpack' }))
    await client.until((messages) => messages.length >= transitions.length)
    const payloads = client.messages.map(({ payload }) => unpack(payload) as Transition)
    for (const payload of payloads) expect(faultsOf(payload)).toEqual([])
    const first = transitions[0]?.flowRunId
    const ofFirst = (list: readonly Transition[]): Transition[] =>
      list.filter(({ flowRunId }) => flowRunId === first)
    expect(ofFirst(payloads)).toEqual(ofFirst(transitions).map(asPublished))
  })

  it.each<NatsPublish | 'off' | undefined>([undefined, 'off'])('publishes nothing by %s', async (publish) => {
    const namespace = freshNamespace()
    const client = await rawClient(`${namespace}.live.v1.>`)
    const engine = engineAt(namespace, publish === undefined ? {} : { publish })
    expect(await engine.run(ship, 1)).toBe(1)
    await engine.close()
    await client.flush()
    expect(client.messages).toEqual([])
  })

  it('has published the last of it when the engine is closed', async () => {
    const namespace = freshNamespace()
    const client = await rawClient(`${namespace}.live.v1.*.*._._.COMPLETED`)
    const engine = engineAt(namespace)
    await engine.run(ship, 1)
    await engine.close()
    await client.flush()
    expect(client.messages).toHaveLength(1)
  })

  it('goes on where who listens reads nothing', async () => {
    const namespace = freshNamespace()
    const client = await rawClient(`${namespace}.live.v1.>`)
    client.pause()
    const engine = engineAt(namespace)
    const runs = Array.from({ length: 200 }, (_, order) => engine.run(ship, order))
    expect(await Promise.all(runs)).toEqual(runs.map((__, order) => order))
  })

  it('goes on after the server was killed, repeats nothing, and `seq` shows what is missing', async () => {
    const namespace = freshNamespace()
    const client = await rawClient(`${namespace}.live.v1.>`)
    const engine = engineAt(namespace)
    engine.errors.subscribe(() => undefined)
    expect(await engine.run(ship, 1)).toBe(1)
    await client.flush()
    await server().kill()
    const meanwhile = engine.run(ship, 2)
    await server().restart()
    expect(await meanwhile).toBe(2)
    const again = await rawClient(`${namespace}.live.v1.>`)
    expect(await engine.run(ship, 3)).toBe(3)
    await engine.close()
    await again.flush()
    const heard = [...client.messages, ...again.messages].map(
      ({ payload }) => JSON.parse(payload.toString()) as Transition,
    )
    const ids = heard.map(({ runId, seq }) => `${runId} ${seq}`)
    expect(new Set(ids).size).toBe(ids.length)
    const seqs = new Map<string, number>()
    for (const { runId, seq } of heard) {
      expect(seq).toBeGreaterThan(seqs.get(runId) ?? 0)
      seqs.set(runId, seq)
    }
    expect(heard.filter((one) => one.kind === 'flow' && one.to.name === 'Completed').length).toBeGreaterThan(
      1,
    )
  })

  it.each(['json', 'msgpack'] as const)('is held to what every transport is held to: %s', async (publish) => {
    const cases = publishingConformance(async () => {
      const namespace = freshNamespace()
      const transport = natsTransport({ servers: server().url, namespace, publish })
      const [one, other] = [transport.open(hostOf()), transport.open(hostOf())]
      const clients: RawClient[] = []
      return {
        station: one,
        others: other,
        async listen(listener) {
          const client = await RawClient.subscribe(server().url, [`${namespace}.live.v1.>`])
          clients.push(client)
          let told = 0
          void client.until((messages) => {
            for (; told < messages.length; told++) {
              const { payload = Buffer.alloc(0) } = messages[told] ?? {}
              const read = publish === 'json' ? (JSON.parse(payload.toString()) as unknown) : unpack(payload)
              const { v, ...transition } = read as Transition & { v: number }
              expect(v).toBe(1)
              listener(transition)
            }
            return false
          })
        },
        async close() {
          for (const client of clients) client.close()
          await one.close()
          await other.close()
        },
      }
    })
    expect(cases.length).toBeGreaterThan(3)
    for (const { run } of cases) await expect(run()).resolves.toBeUndefined()
  })
})
