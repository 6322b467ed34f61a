import type { NatsConnection } from '@nats-io/transport-node'
import { UsageError, type Duration, type PayloadCodec } from '@troupe/core'
import { checkCodecs, toMilliseconds } from '@troupe/core/internal'
import type { DialOptions, NatsAuth, NatsTls } from './connection/dial.ts'

/** What is kept of ended flow runs; what is beyond either limit goes, with the flow runs below it. @public */
export interface NatsKeep {
  /** For how long after their end; default for ever. */
  readonly age?: Duration
  /** How many, the newest by their end; default any number. */
  readonly count?: number
}

/** How transitions are published. @public */
export interface NatsPublish {
  /** Default `'json'`. */
  readonly format?: 'json' | 'msgpack'
  /**
   * Whether they are also kept, in a stream, each at least once whatever is killed: they are then made from the journals, by one of the
   * nodes. Default false: the node that owns a run publishes its transitions after each commit, to whoever listens then.
   */
  readonly durable?: boolean
  /** How long the stream keeps them; default `'7d'`. Only with `durable`. */
  readonly age?: Duration
  /** How many bytes it keeps, the newest; default no limit. Only with `durable`. */
  readonly bytes?: number
}

/** @public */
export interface NatsTransportOptions {
  /** Where servers are, as `host:port` or `nats://host:port`. Default `127.0.0.1:4222`. Not with `connection`. */
  readonly servers?: string | readonly string[]
  /**
   * Sets what shares the servers apart: nodes of one namespace see each other and nothing else. 1 to 64 of `A`–`Z`, `a`–`z`,
   * `0`–`9`, `_` and `-`. Default `troupe`.
   */
  readonly namespace?: string
  /** Who connects; default nobody in particular. Not with `connection`. */
  readonly auth?: NatsAuth
  /** TLS of the connection; default none, unless the server asks for it. Not with `connection`. */
  readonly tls?: NatsTls
  /**
   * Makes each connection that is needed, in place of `servers`, `auth` and `tls`. Each call must give a new one, which the
   * transport closes.
   */
  readonly connection?: () => Promise<NatsConnection>
  /** What the subjects of answers begin with, for users who may subscribe to nothing else. Default `_INBOX`. */
  readonly inboxPrefix?: string
  /** How long a server may take to greet when a connection is made. Default `'5s'`. */
  readonly connectTimeout?: Duration
  /** On how many servers streams are kept that are made now: 1 to 5. Default 1; streams that are there stay as they are. */
  readonly replicas?: number
  /** Where streams are kept that are made now; `'memory'` is lost with the server. Default `'file'`. */
  readonly storage?: 'file' | 'memory'
  /** The most bytes that journals may take; an append beyond them waits for room. Default no limit but the server's.
   * Servers of the 2.9 line delete what is oldest in its place, and are refused with it: `TRANSPORT_UNSUPPORTED`. */
  readonly maxBytes?: number
  /** Change what is stored: compression, encryption. Applied in this order. Default none. */
  readonly codecs?: readonly PayloadCodec[]
  /** Values of more bytes than this go to the object store. Default 262,144. */
  readonly largeValue?: number
  /** What is kept of ended flow runs; default everything. */
  readonly keep?: NatsKeep
  /** Publishes every transition for programs in any language, on subjects of their own. Default `'off'`. */
  readonly publish?: 'off' | 'json' | 'msgpack' | NatsPublish
  /** For how long user code may block the event loop before the node lets go of what it holds. Default `'60s'`. */
  readonly maxBlocked?: Duration
  /**
   * For programs that list, watch and read, and nothing else: the engine is no node, others don't see it, and what it would write
   * rejects with `READ_ONLY`. It is what the role *watcher* may do. Default false.
   */
  readonly readOnly?: boolean
}

/** Options, checked and with their defaults. */
export interface Settings {
  readonly namespace: string
  /** Undefined where the user makes the connections. */
  readonly dial: DialOptions | undefined
  readonly connection: (() => Promise<NatsConnection>) | undefined
  readonly inboxPrefix: string
  readonly replicas: number | undefined
  readonly storage: 'file' | 'memory'
  readonly maxBytes: number | undefined
  readonly codecs: readonly PayloadCodec[]
  readonly largeValue: number
  readonly keep: { readonly ageMs: number | undefined; readonly count: number | undefined } | undefined
  readonly publish: PublishSettings | undefined
  readonly maxBlockedMs: number
  readonly readOnly: boolean
}

export interface PublishSettings {
  readonly format: 'json' | 'msgpack'
  /** Undefined where nothing is kept. */
  readonly kept: { readonly ageMs: number; readonly bytes: number | undefined } | undefined
}

const optionNames = [
  'servers',
  'namespace',
  'auth',
  'tls',
  'connection',
  'inboxPrefix',
  'connectTimeout',
  'replicas',
  'storage',
  'maxBytes',
  'codecs',
  'largeValue',
  'keep',
  'publish',
  'maxBlocked',
  'readOnly',
] as const satisfies readonly (keyof NatsTransportOptions)[]

const token = /^[A-Za-z0-9_-]{1,64}$/
const subject = /^[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}$/

/** @throws UsageError `INVALID_OPTION` where a node's name can't be part of a subject */
export function checkNode(node: string): void {
  if (token.test(node)) return
  refuse('node', 'a name of 1 to 64 of A–Z, a–z, 0–9, _ and -', node, 'no name of a node over NATS')
}

/** @throws UsageError `INVALID_OPTION`, `INVALID_DURATION` */
export function settingsOf(options: NatsTransportOptions): Settings {
  if (typeof options !== 'object' || options === null) refuse('options', 'an object', options)
  for (const name of Object.keys(options)) {
    if (!(optionNames as readonly string[]).includes(name))
      refuse(name, `one of ${optionNames.join(', ')}`, name, 'no option of natsTransport')
  }
  const { namespace = 'troupe', inboxPrefix = '_INBOX', storage = 'file', codecs = [] } = options
  const { connection, replicas, maxBytes, largeValue = 262_144, maxBlocked = 60_000 } = options
  const { readOnly = false } = options
  if (typeof namespace !== 'string' || !token.test(namespace))
    refuse('namespace', '1 to 64 of A–Z, a–z, 0–9, _ and -', namespace)
  if (typeof inboxPrefix !== 'string' || !subject.test(inboxPrefix))
    refuse('inboxPrefix', 'the beginning of a subject, such as _INBOX_worker', inboxPrefix)
  if (storage !== 'file' && storage !== 'memory') refuse('storage', "'file' or 'memory'", storage)
  if (replicas !== undefined && (!Number.isInteger(replicas) || replicas < 1 || replicas > 5))
    refuse('replicas', 'an integer from 1 to 5', replicas)
  if (maxBytes !== undefined && (!Number.isSafeInteger(maxBytes) || maxBytes < 1_048_576))
    refuse('maxBytes', 'a number of bytes, 1,048,576 at least', maxBytes)
  if (!Array.isArray(codecs)) refuse('codecs', 'a list of payload codecs', codecs)
  checkCodecs(codecs, 'codecs')
  if (!Number.isSafeInteger(largeValue) || largeValue < 0)
    refuse('largeValue', 'a number of bytes', largeValue)
  const maxBlockedMs = toMilliseconds(maxBlocked, 'maxBlocked')
  if (maxBlockedMs < 1000 || maxBlockedMs > 86_400_000)
    refuse('maxBlocked', 'a duration from 1 s to a day', maxBlocked)
  if (typeof readOnly !== 'boolean') refuse('readOnly', 'true or false', readOnly)
  return {
    namespace,
    dial: dialOf(options, inboxPrefix),
    connection: connectionOf(connection),
    inboxPrefix,
    replicas,
    storage,
    maxBytes,
    codecs: Object.freeze([...codecs]),
    largeValue,
    keep: keepOf(options.keep),
    publish: publishOf(options.publish),
    maxBlockedMs,
    readOnly,
  }
}

function connectionOf(connection: NatsTransportOptions['connection']): Settings['connection'] {
  if (connection !== undefined && typeof connection !== 'function')
    refuse('connection', 'a function that makes a connection', connection)
  return connection
}

function dialOf(options: NatsTransportOptions, inboxPrefix: string): DialOptions | undefined {
  const { servers = '127.0.0.1:4222', auth, tls, connection, connectTimeout = 5_000 } = options
  if (connection !== undefined) {
    for (const name of ['servers', 'auth', 'tls'] as const) {
      if (options[name] !== undefined)
        refuse(name, 'nothing where `connection` is given', options[name], 'not used')
    }
    return undefined
  }
  const list: readonly unknown[] = typeof servers === 'string' ? [servers] : servers
  if (!Array.isArray(list) || list.length === 0) refuse('servers', 'a list of host:port', servers)
  for (const server of list) {
    if (typeof server !== 'string' || server.trim() === '') refuse('servers', 'host:port', server)
  }
  if (tls !== undefined && (typeof tls !== 'object' || tls === null)) refuse('tls', 'an object', tls)
  const timeoutMs = toMilliseconds(connectTimeout, 'connectTimeout')
  if (timeoutMs < 100 || timeoutMs > 600_000)
    refuse('connectTimeout', 'a duration from 100 ms to 10 min', connectTimeout)
  return { servers: list as string[], auth: authOf(auth), tls, inboxPrefix, timeoutMs }
}

function authOf(auth: NatsAuth | undefined): NatsAuth | undefined {
  if (auth === undefined) return undefined
  const texts = Object.values(typeof auth === 'object' && auth !== null ? auth : {})
  const names = Object.keys(typeof auth === 'object' && auth !== null ? auth : {})
    .toSorted()
    .join()
  const known = ['password,user', 'token', 'nkey', 'creds'].includes(names)
  // A secret is not shown.
  if (!known || texts.some((text) => typeof text !== 'string'))
    refuse('auth', '{ user, password }, { token }, { nkey } or { creds }, each a text', `{ ${names} }`)
  return auth
}

function keepOf(keep: NatsKeep | undefined): Settings['keep'] {
  if (keep === undefined) return undefined
  if (typeof keep !== 'object' || keep === null) refuse('keep', 'an object', keep)
  const { age, count, ...rest } = keep
  for (const name of Object.keys(rest)) refuse(`keep.${name}`, 'age or count', name, 'no limit')
  if (count !== undefined && (!Number.isSafeInteger(count) || count < 0))
    refuse('keep.count', 'an integer of at least 0', count)
  return { ageMs: age === undefined ? undefined : toMilliseconds(age, 'keep.age'), count }
}

/** For how long the server knows what was published: no shorter may be kept. */
export const publishWindowMs = 120_000

function publishOf(publish: NatsTransportOptions['publish']): PublishSettings | undefined {
  if (publish === undefined || publish === 'off') return undefined
  if (publish === 'json' || publish === 'msgpack') return { format: publish, kept: undefined }
  if (typeof publish !== 'object' || publish === null)
    refuse('publish', "'off', 'json', 'msgpack' or an object", publish)
  const { format = 'json', durable = false, age, bytes, ...rest } = publish
  for (const name of Object.keys(rest))
    refuse(`publish.${name}`, 'format, durable, age or bytes', name, 'no option')
  if (format !== 'json' && format !== 'msgpack') refuse('publish.format', "'json' or 'msgpack'", format)
  if (typeof durable !== 'boolean') refuse('publish.durable', 'true or false', durable)
  if (!durable) {
    for (const [name, value] of Object.entries({ age, bytes }))
      if (value !== undefined) refuse(`publish.${name}`, '`durable: true`', value, 'for what is kept')
    return { format, kept: undefined }
  }
  const ageMs = toMilliseconds(age ?? '7d', 'publish.age')
  if (ageMs < publishWindowMs) refuse('publish.age', 'a duration from 2 min on', age)
  if (bytes !== undefined && (!Number.isSafeInteger(bytes) || bytes < 1_048_576))
    refuse('publish.bytes', 'a number of bytes, 1,048,576 at least', bytes)
  return { format, kept: { ageMs, bytes } }
}

/** @throws UsageError `INVALID_OPTION` */
export function refuse(option: string, expected: string, got: unknown, why = 'not what it takes'): never {
  const shown = typeof got === 'string' ? JSON.stringify(got) : String(got)
  throw new UsageError('INVALID_OPTION', `\`${option}\` is ${why}: expected ${expected}, got ${shown}`, {
    details: { option },
  })
}
