import { JournalError, TroupeError, UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import { withOptions } from '../definitions/define.ts'
import type { Definition } from '../definitions/definition.ts'
import { flowDefinitionOf, type AnyFlow } from '../definitions/flow.ts'
import { prepare } from '../engine/calls.ts'
import { readSubmitted } from '../engine/ends.ts'
import { hashArguments } from '../engine/identity.ts'
import { namedOrder, type NamedFlow } from '../engine/named-flow.ts'
import { conflictError, newRoot } from '../engine/roots.ts'
import { invalidParametersError } from '../engine/run-errors.ts'
import type { Run, RunHost } from '../engine/run.ts'
import type { SendOrder } from '../engine/send-order.ts'
import type { Sent } from '../engine/send-run.ts'
import { orderOf } from '../engine/submit.ts'
import { idOfKey, requestedId } from '../runs/call-identity.ts'
import { untilTerminal } from '../streams/watch.ts'

/** What starting flow runs needs of the engine. */
export interface StartHost extends RunHost {
  /** @throws UsageError `NO_TRANSPORT` */
  clusterFor(what: string): { send(order: SendOrder): Sent }
}

/** A flow run that is to be started. */
export interface EventOrder {
  readonly args: readonly unknown[]
  /** Undefined where each start is a run of its own. */
  readonly key: string | undefined
  readonly tags: readonly string[] | undefined
}

/** A flow run that is in the journal. */
export interface Started {
  /** Whether it was not there before. */
  readonly isNew: boolean
  /** Resolves when it has ended, whichever way. */
  ended(): Promise<unknown>
}

/** Starts flow runs of one flow. */
export interface FlowStarter {
  /** Name of the flow. */
  readonly flow: string
  /** @throws RunError `INVALID_PARAMETERS` where the flow's schema refuses the arguments, or throws */
  check(args: readonly unknown[]): Promise<void> | undefined
  /**
   * Resolves when the flow run is durably in the journal.
   *
   * @throws TroupeError `BAD_EVENT` where it can never be started, with the reason as its cause; any other error may pass
   */
  start(order: EventOrder): Promise<Started>
  /**
   * The flow run that the key has started before; undefined where there is none.
   *
   * @throws as {@link FlowStarter.start}
   */
  known(order: EventOrder): Promise<Started | undefined>
}

/** What is wrong with an event, so that it can never become a flow run. */
function badEvent(cause: unknown): TroupeError {
  return new TroupeError('BAD_EVENT', inWords(cause), { cause })
}

/** @throws UsageError `INVALID_OPTION`, `NO_TRANSPORT` */
export function starterOf(host: StartHost, flow: AnyFlow | NamedFlow | string): FlowStarter {
  if (isNamed(flow)) return namedStarter(host, flow)
  const definition = flowDefinitionOf(flow)
  const { name, settings } = definition
  for (const option of ['id', 'idempotencyKey', 'engine', 'waitFor', 'key'] as const)
    if (settings[option] !== undefined) refuseOption(option, name)
  if (settings.on !== 'any') return new LocalStarter(host, definition)
  host.clusterFor(name)
  return new AnywhereStarter(host, name, {
    schema: settings.parameters === undefined ? undefined : (args) => checkParameters(definition, args),
    order: (order) =>
      orderOf(host, { definition: definitionFor(definition, order), args: order.args, caller: undefined }),
  })
}

function isNamed(flow: AnyFlow | NamedFlow | string): flow is NamedFlow | string {
  return typeof flow === 'string' || (typeof flow === 'object' && flow !== null)
}

function namedStarter(host: StartHost, flow: NamedFlow | string): FlowStarter {
  const { name, id, idempotencyKey, tags = [] } = namedOrder(flow, [])
  if (id !== undefined) refuseOption('id', name)
  if (idempotencyKey !== undefined) refuseOption('idempotencyKey', name)
  host.clusterFor(name)
  const given: NamedFlow = typeof flow === 'string' ? { flow } : flow
  return new AnywhereStarter(host, name, {
    schema: undefined,
    order: ({ args, key, tags: more = [] }) =>
      namedOrder(
        { ...given, tags: [...tags, ...more], ...(key === undefined ? undefined : { idempotencyKey: key }) },
        args,
      ),
  })
}

function refuseOption(option: string, flow: string): never {
  const message = `\`${option}\` is of one flow run, and ${flow} is to be started for each event; leave it out`
  throw new UsageError('INVALID_OPTION', message, { details: { option } })
}

/** The definition with what is the event's own. */
function definitionFor(definition: Definition, { key, tags }: EventOrder): Definition {
  if (key === undefined && tags === undefined) return definition
  const { tags: own = [] } = definition.settings
  return withOptions(definition, {
    ...(key === undefined ? undefined : { idempotencyKey: key }),
    ...(tags === undefined ? undefined : { tags: [...new Set([...own, ...tags])] }),
  })
}

async function checkParameters(definition: Definition, args: readonly unknown[]): Promise<void> {
  const { parameters } = definition.settings
  const result = await parameters?.['~standard'].validate(args)
  if (result?.issues !== undefined) throw invalidParametersError(definition.name, result.issues)
}

/** What an event is made of can't be what the journal needs. @throws TroupeError `BAD_EVENT` */
function fit<T>(make: () => T): T {
  try {
    return make()
  } catch (error) {
    throw badEvent(error)
  }
}

/** Starts flow runs on this engine. */
class LocalStarter implements FlowStarter {
  readonly flow: string
  readonly #host: StartHost
  readonly #definition: Definition

  constructor(host: StartHost, definition: Definition) {
    this.#host = host
    this.#definition = definition
    this.flow = definition.name
  }

  check(args: readonly unknown[]): Promise<void> | undefined {
    const definition = this.#definition
    return definition.settings.parameters === undefined ? undefined : checkParameters(definition, args)
  }

  async start(order: EventOrder): Promise<Started> {
    const host = this.#host
    const { args } = order
    const definition = fit(() => definitionFor(this.#definition, order))
    const id = requestedId(definition)
    if (id !== undefined) fit(() => hashArguments(args))
    for (let isRefused = false; ;) {
      const known = id === undefined ? undefined : await this.#known(id, args)
      if (known !== undefined) return known
      // One of the same key may have come while the journal was asked.
      if (id !== undefined && host.rootOf(id) !== undefined) continue
      if (host.refusal !== undefined) throw host.refusal
      if (host.closed) throw closedError(this.flow)
      const call = { definition, args, caller: undefined }
      const prepared = fit(() => prepare(host, call))
      const run = newRoot(host, call, prepared)
      await untilSafe(run)
      if (isRecorded(run)) return { isNew: true, ended: () => endOf(run) }
      run.looked = true
      // Its name or its tags are too long, and would be each time.
      if (isUnfit(run.error)) throw badEvent(run.error)
      // Another process was first with this key, or the engine was closed. What comes of the other's run is told there.
      if (id === undefined || host.closed) throw closedError(this.flow)
      if (isRefused) throw unseenError(id)
      isRefused = true
    }
  }

  async known(order: EventOrder): Promise<Started | undefined> {
    const id = requestedId(fit(() => definitionFor(this.#definition, order)))
    return id === undefined ? undefined : this.#known(id, order.args)
  }

  /** The flow run of an id, where there is one. @throws TroupeError `BAD_EVENT` where it is another event's */
  async #known(id: string, args: readonly unknown[]): Promise<Started | undefined> {
    const host = this.#host
    const live = host.rootOf(id)
    if (live !== undefined) {
      const { definition, ledger } = live
      compare(id, { flow: this.flow, args }, { name: definition.name, parametersHash: ledger.parametersHash })
      await untilSafe(live)
      if (isRecorded(live)) return { isNew: false, ended: () => endOf(live) }
    }
    return recordedRun(host, id, { flow: this.flow, args })
  }
}

interface Asked {
  readonly flow: string
  readonly args: readonly unknown[]
}

/** The flow run of an id in the journal. @throws TroupeError `BAD_EVENT` where it is another event's */
async function recordedRun(host: StartHost, id: string, asked: Asked): Promise<Started | undefined> {
  const summary = await host.journal.summary(id)
  if (summary === undefined) return undefined
  const first = await host.journal.read(id, 1, 2)
  const submitted = first.find((entry) => entry.kind === 'submitted')
  compare(id, asked, submitted ?? (await readSubmitted(host.ends, id)))
  return { isNew: false, ended: () => (summary.ended ? Promise.resolve() : endElsewhere(host, id)) }
}

function compare(
  id: string,
  { flow, args }: Asked,
  there: { readonly name: string; readonly parametersHash?: string | undefined },
): void {
  const hash = fit(() => hashArguments(args))
  if (there.name !== flow || there.parametersHash !== hash) throw badEvent(conflictError(id, flow))
}

/** Starts flow runs on whichever node serves their flow. */
class AnywhereStarter implements FlowStarter {
  readonly flow: string
  readonly #host: StartHost
  readonly #schema: ((args: readonly unknown[]) => Promise<void>) | undefined
  readonly #order: (order: EventOrder) => SendOrder

  constructor(
    host: StartHost,
    flow: string,
    make: {
      readonly schema: ((args: readonly unknown[]) => Promise<void>) | undefined
      readonly order: (order: EventOrder) => SendOrder
    },
  ) {
    this.#host = host
    this.flow = flow
    this.#schema = make.schema
    this.#order = make.order
  }

  check(args: readonly unknown[]): Promise<void> | undefined {
    return this.#schema?.(args)
  }

  async start(order: EventOrder): Promise<Started> {
    const host = this.#host
    if (host.refusal !== undefined) throw host.refusal
    if (host.closed) throw closedError(this.flow)
    const made = fit(() => this.#order(order))
    const cluster = host.clusterFor(this.flow)
    const { target, created } = fit(() => cluster.send(made))
    try {
      const isNew = (await created) === 'new'
      return { isNew, ended: () => endElsewhere(host, target.id) }
    } catch (error) {
      throw isUnfit(error) ? badEvent(error) : error
    }
  }

  async known(order: EventOrder): Promise<Started | undefined> {
    const { name, args, idempotencyKey } = fit(() => this.#order(order))
    if (idempotencyKey === undefined) return undefined
    return recordedRun(this.#host, idOfKey(name, idempotencyKey), { flow: name, args })
  }
}

const unfit = ['NOT_ENCODABLE', 'PAYLOAD_TOO_LARGE', 'IDEMPOTENCY_CONFLICT', 'INVALID_OPTION'] as const

/** Whether a start was refused for what was to be started, and would be each time. */
function isUnfit(error: unknown): boolean {
  return unfit.some((code) => TroupeError.is(error, code))
}

function closedError(flow: string): UsageError {
  return new UsageError('ENGINE_CLOSED', `the engine was closed before a flow run of ${flow} was recorded`)
}

function unseenError(id: string): JournalError {
  return new JournalError('JOURNAL_CONFLICT', `the journal does not take ${id}, and does not have it`, {
    details: { flowRunId: id },
  })
}

function untilSafe(run: Run): Promise<void> {
  return new Promise((resolve) => run.ledger.whenSafe(resolve))
}

/** Whether this engine has created the run's journal. */
function isRecorded(run: Run): boolean {
  return run.ledger.position > 0
}

function endOf(run: Run): Promise<void> {
  return new Promise((resolve) => run.whenSettled({ runEnded: () => resolve() }))
}

/** Only that it has ended: its value may be nothing that can be read here. */
async function endElsewhere({ ends }: StartHost, id: string): Promise<void> {
  try {
    await untilTerminal(ends.journal, id, ends.closers)
  } catch (error) {
    // It has ended, and is not kept.
    if (!TroupeError.is(error, 'RUN_NOT_FOUND')) throw error
  }
}
