import { createHash } from 'node:crypto'
import {
  exponentialBackoff,
  UsageError,
  type Clock,
  type Duration,
  type Logger,
  type RetryDelay,
  type StateName,
  type StateType,
  type Transition,
} from '@troupe/core'
import { consoleLogger, stateNames, stateTypes, systemClock, toMilliseconds } from '@troupe/core/internal'
import { keysOf } from './signature.ts'

/** Where to, and what. All given conditions must hold. @public */
export interface WebhookEndpoint {
  /** Where to POST: `http:` or `https:`. It comes from who runs the service, and never from its users. */
  readonly url: string | URL
  /** States whose transitions are sent: names or types. */
  readonly states: readonly (StateName | StateType)[]
  /** 24 to 64 bytes in base64, after `whsec_`. Several while one takes the place of another: each signs. */
  readonly secret: string | readonly string[]
  /** Tells endpoints apart, also after a restart: letters, digits, `-` and `_`, up to 32. Default made of the address. */
  readonly id?: string
  /** Runs of this flow, or of these. */
  readonly flow?: string | readonly string[]
  /** Task runs of this task, or of these. Without it only flow runs are told of. */
  readonly task?: string | readonly string[]
  /** Runs in flow runs that have this tag. */
  readonly tag?: string
  /** More headers. */
  readonly headers?: Readonly<Record<string, string>>
}

/** @public */
export interface WebhookOptions {
  /** How often a delivery that failed is tried again; default 300, a day and an hour. */
  readonly retries?: number
  /** Default from a second to five minutes, doubling. What a receiver asks for (`Retry-After`) goes first, up to an hour. */
  readonly retryDelay?: RetryDelay
  /** Default 0.2. */
  readonly retryJitter?: number
  /** How long a receiver may take to answer; default `'15s'`. */
  readonly timeout?: Duration
  /** How many deliveries to one endpoint may be under way or wait for one another; default 16. All else waits in the journals. */
  readonly concurrency?: number
  /** What is older than this when the feed starts is not sent any more; default `'3d'`. */
  readonly maxAge?: Duration
  /** For faults that nobody else hears of; default warnings and errors to standard error. */
  readonly logger?: Logger
  /** Default the platform's. */
  readonly fetch?: typeof fetch
  /** For tests; default this machine's. */
  readonly clock?: Clock
}

/** An endpoint, checked. */
export interface Endpoint {
  readonly id: string
  readonly url: string
  readonly keys: readonly Buffer[]
  readonly headers: Readonly<Record<string, string>>
  readonly tag: string | undefined
  readonly wants: (transition: Transition) => boolean
}

/** All options, with their defaults. */
export interface Settings {
  readonly retries: number
  readonly retryDelay: RetryDelay
  readonly retryJitter: number
  readonly timeout: Duration
  readonly concurrency: number
  readonly maxAgeMs: number
  readonly logger: Logger
  readonly fetch: typeof fetch
  readonly clock: Clock
}

/** What the flows of deliveries are called: of their own runs no webhooks are sent. */
export const flowPrefix = 'troupe-webhook-'

const endpointNames = ['url', 'states', 'secret', 'id', 'flow', 'task', 'tag', 'headers']
const optionNames =
  'retries, retryDelay, retryJitter, timeout, concurrency, maxAge, logger, fetch, clock'.split(', ')

/** @throws UsageError `INVALID_OPTION` */
export function checkEndpoints(endpoints: readonly WebhookEndpoint[]): readonly Endpoint[] {
  if (!Array.isArray(endpoints) || endpoints.length === 0)
    throw refused('endpoints', 'expected a list of endpoints: webhooks(engine, [{ url, states, secret }])')
  const checked = endpoints.map(checkEndpoint)
  const ids = checked.map(({ id }) => id)
  const twice = ids.find((id, index) => ids.indexOf(id) !== index)
  if (twice !== undefined)
    throw refused('id', `two endpoints are called ${twice}; give each an \`id\` of its own`)
  return checked
}

function checkEndpoint(endpoint: WebhookEndpoint): Endpoint {
  checkNames(endpoint, endpointNames)
  const url = checkUrl(endpoint.url)
  const { id = createHash('sha256').update(url).digest('hex').slice(0, 12), tag } = endpoint
  if (!/^[\w-]{1,32}$/.test(id))
    throw refused('id', 'expected `id` to be letters, digits, `-` and `_`, up to 32 of them')
  const states = checkStates(endpoint.states)
  const flows = checkList(endpoint.flow, 'flow')
  const tasks = checkList(endpoint.task, 'task')
  if (tag !== undefined && typeof tag !== 'string') throw refused('tag', 'expected `tag` to be a text')
  return {
    id,
    url,
    keys: keysOf(endpoint.secret),
    headers: Object.fromEntries(checkHeaders(endpoint.headers)),
    tag,
    wants: ({ kind, flow, task, to }) =>
      !flow.startsWith(flowPrefix) &&
      states.has(to.name) &&
      (flows === undefined || flows.includes(flow)) &&
      (tasks === undefined ? kind === 'flow' : kind === 'task' && tasks.includes(task ?? '')),
  }
}

function checkUrl(given: string | URL): string {
  const url = URL.canParse(String(given)) ? new URL(given) : undefined
  if (url === undefined || (url.protocol !== 'http:' && url.protocol !== 'https:'))
    throw refused('url', 'expected `url` to be an address that begins with https:// or http://')
  if (url.username !== '' || url.password !== '')
    throw refused(
      'url',
      'expected `url` without a name and a password; `headers` can carry an `authorization`',
    )
  return url.href
}

function checkStates(given: WebhookEndpoint['states']): ReadonlySet<StateName> {
  const states = Array.isArray(given)
    ? given.map((state: unknown) => stateNames.filter((name) => name === state || stateTypes[name] === state))
    : []
  if (states.length === 0 || states.some((names) => names.length === 0))
    throw refused(
      'states',
      "expected `states` to be a list of names or types of states: ['Completed', 'FAILED']",
    )
  return new Set(states.flat())
}

function checkList(
  given: string | readonly string[] | undefined,
  option: string,
): readonly string[] | undefined {
  if (given === undefined) return undefined
  const list = typeof given === 'string' ? [given] : given
  if (!Array.isArray(list) || list.length === 0 || list.some((name: unknown) => typeof name !== 'string'))
    throw refused(option, `expected \`${option}\` to be a name, or a list of names`)
  return list
}

function checkHeaders(given: Readonly<Record<string, string>> | undefined): Headers {
  try {
    return new Headers(given)
  } catch (error) {
    throw new UsageError('INVALID_OPTION', `expected \`headers\` to be headers: ${String(error)}`, {
      cause: error,
      details: { option: 'headers' },
    })
  }
}

/** @throws UsageError `INVALID_OPTION`, `INVALID_DURATION` */
export function settingsOf(options: WebhookOptions): Settings {
  checkNames(options, optionNames)
  const { retries = 300, concurrency = 16, retryJitter = 0.2, timeout = '15s' } = options
  if (!Number.isInteger(concurrency) || concurrency < 1)
    throw refused(
      'concurrency',
      `expected \`concurrency\` to be an integer of at least 1, got ${String(concurrency)}`,
    )
  return {
    retries,
    retryJitter,
    retryDelay: options.retryDelay ?? exponentialBackoff('1s', { max: '5m' }),
    timeout,
    concurrency,
    maxAgeMs: toMilliseconds(options.maxAge ?? '3d', 'maxAge'),
    logger: options.logger ?? consoleLogger(),
    fetch: options.fetch ?? globalThis.fetch,
    clock: options.clock ?? systemClock(),
  }
}

function checkNames(given: object, names: readonly string[]): void {
  const unknown = Object.keys(given).find((name) => !names.includes(name))
  if (unknown !== undefined)
    throw refused(unknown, `there is no option \`${unknown}\`; there are ${names.join(', ')}`)
}

function refused(option: string, message: string): UsageError {
  return new UsageError('INVALID_OPTION', message, { details: { option } })
}
