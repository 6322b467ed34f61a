/** A cluster of nodes on a server or three, with faults to come, and all that is needed to judge it afterwards. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createEngine,
  type Engine,
  type Limit,
  type Station,
  type Transition,
  type Transport,
} from '@troupe/core'
import { audit, openStation, type Audited, type Expected, type ExpectedRun } from './audit.ts'
import { Child } from './child.ts'
import { Ledger, type Deed } from './ledger.ts'
import type { NodeOrder, Settings, Start } from './orders.ts'
import type { Done, Item, Step } from './plan-tasks.ts'
import { Streams } from './streams.ts'
import { transportOf } from './transport.ts'
import { until, within } from './until.ts'
import { Witness } from './witness.ts'

export interface WorldOptions {
  /** Where the servers listen. */
  readonly servers: readonly string[]
  readonly settings?: Settings
}

/** What a node of a world is to do; default nothing. */
export interface NodeOptions {
  readonly flows?: readonly string[]
  /** How many task runs of the queue `work` it executes at once. */
  readonly work?: number
  /** A way to its server, in place of the servers of the world. */
  readonly via?: string
  readonly skewMs?: number
  readonly grace?: string
  readonly version?: string
  readonly limits?: readonly Limit[]
  readonly suspendAfter?: string
  readonly settings?: Settings
}

let worlds = 0

/** How long a flow run may take, in milliseconds: then something has been lost. */
const longestMs = 60_000

export class World {
  readonly namespace: string
  readonly ledger: Ledger
  readonly engine: Engine
  readonly witness: Witness
  readonly streams: Streams
  /** What a node would have of the transport. */
  readonly station: Station
  readonly nodes: Child[] = []
  /** What the engine of the test itself was told. */
  readonly errors: string[] = []
  readonly #options: WorldOptions
  readonly #folder: string
  readonly #expected = new Map<string, ExpectedRun>()
  #names = 0

  private constructor(options: WorldOptions, namespace: string, streams: Streams) {
    this.#options = options
    this.namespace = namespace
    this.streams = streams
    this.#folder = mkdtempSync(join(tmpdir(), 'troupe-faults-'))
    this.ledger = Ledger.create(this.#folder)
    this.engine = createEngine({ transport: this.#transport(), node: 'looks-on' })
    this.engine.errors.subscribe(({ error }) => this.errors.push(String(error)))
    this.witness = new Witness(this.engine)
    this.station = openStation(this.#transport())
  }

  static async open(options: WorldOptions): Promise<World> {
    const namespace = `faults-${process.pid}-${++worlds}`
    const streams = await Streams.open(options.servers, namespace)
    return new World(options, namespace, streams)
  }

  #transport(): Transport {
    return transportOf(this.#options.servers, this.namespace, this.#options.settings ?? {})
  }

  /** Starts a node. Resolves when it is connected. */
  async node(name: string, options: NodeOptions = {}): Promise<Child> {
    const { flows = [], work = 0, via, skewMs = 0, grace = '20s', version, settings, limits = [] } = options
    const order: NodeOrder = {
      node: name,
      servers: via === undefined ? this.#options.servers : [via],
      namespace: this.namespace,
      flows,
      tasks: work === 0 ? {} : { work },
      ledger: this.#folder,
      settings: { ...this.#options.settings, ...settings },
      skewMs,
      grace,
      limits,
      ...(options.suspendAfter === undefined ? undefined : { suspendAfter: options.suspendAfter }),
    }
    const node = await Child.start(order, version === undefined ? {} : { PLAN_VERSION: version })
    this.nodes.push(node)
    await until(`node ${name} is known`, async () =>
      (await this.station.nodes.list()).some((one) => one.node === name),
    )
    return node
  }

  /** Nodes that execute flow runs, and nodes that execute task runs, all at once. */
  async start(nodes: Readonly<Record<string, NodeOptions>>): Promise<Child[]> {
    return Promise.all(Object.entries(nodes).map(([name, options]) => this.node(name, options)))
  }

  /**
   * Starts a flow run on a node, or by its name on any.
   *
   * @param expected - What is to come of it; default that it completes, with the effects of all its items.
   */
  async run(
    on: Child | 'any',
    start: Omit<Start, 'id'> & { readonly id?: string },
    expected: Partial<ExpectedRun> = {},
  ): Promise<string> {
    const id = start.id ?? `run-${++this.#names}`
    this.expect(id, { keys: keysOf(start.steps), ...expected })
    if (on !== 'any') return on.start({ ...start, id })
    const started = this.engine.run({ flow: start.flow, id }, start.steps)
    return (await within(`${id} is started`, started)).id
  }

  expect(id: string, expected: ExpectedRun): void {
    this.#expected.set(id, expected)
  }

  /** What a flow run came to, as this process learns it. */
  async result(id: string): Promise<readonly Done[]> {
    await this.end(id)
    return (await this.#handle(id)).result() as Promise<readonly Done[]>
  }

  /** The terminal state of a flow run. */
  async end(id: string): Promise<string> {
    const run = await this.#handle(id)
    try {
      return (await within(`flow run ${id} ends`, run.wait(), longestMs)).name
    } catch (error) {
      throw new RangeError(`${(error as Error).message}\n${this.story()}`, { cause: error })
    }
  }

  #handle(id: string) {
    return until(`flow run ${id} is there`, () => this.engine.get(id))
  }

  /** Waits until a body has done something. @returns The first such deed. */
  deed(what: Deed['what'], key: string, by: Partial<Deed> = {}): Promise<Deed> {
    return until(`${key} ${what} ${JSON.stringify(by)}`, () => this.deeds(what, key, by)[0])
  }

  deeds(what: Deed['what'], key?: string, by: Partial<Deed> = {}): Deed[] {
    return this.ledger
      .deeds()
      .filter(
        (deed) =>
          deed.what === what &&
          (key === undefined || deed.key === key) &&
          Object.entries(by).every(([name, value]) => deed[name as keyof Deed] === value),
      )
  }

  /** Waits until a transition is seen. */
  seen(flowRunId: string, matches: (transition: Transition) => boolean, what: string): Promise<Transition> {
    return until(`${flowRunId}: ${what}`, () => this.witness.of(flowRunId).find(matches))
  }

  /** The node that owns a flow run, by its newest transition. */
  child(node: string): Child {
    const found = this.nodes.findLast((child) => child.node === node && child.running)
    if (found === undefined) throw new RangeError(`no node ${node} runs`)
    return found
  }

  /** Waits for the end of all flow runs, and judges. */
  async audit(options: Pick<Expected, 'skewed'> = {}): Promise<Audited> {
    try {
      for (const id of this.#expected.keys()) await this.end(id)
      if (this.witness.failure !== undefined) throw this.witness.failure as Error
      return await audit(
        {
          engine: this.engine,
          station: this.station,
          streams: this.streams,
          deeds: this.ledger.deeds(),
          witnessed: this.witness,
        },
        {
          runs: this.#expected,
          standstills: this.nodes.flatMap(({ standstills }) => standstills),
          ...options,
        },
      )
    } catch (error) {
      throw new RangeError(`${(error as Error).message}\n${this.story()}`, { cause: error })
    }
  }

  /** The journal of a flow run. */
  entries(flowRunId: string): ReturnType<Station['journal']['read']> {
    return this.station.journal.read(flowRunId, 1, 1_000_000)
  }

  /** What can be told of it, for those who look for the reason of a failure. */
  story(): string {
    const lines = [`the test itself heard: ${told(this.errors)}`]
    for (const { node, running, errors, output } of this.nodes)
      lines.push(`${node} ${running ? 'runs' : 'has ended'}: ${told(errors)} ${output.slice(-600)}`)
    const isOver = (id: string): boolean => this.witness.endOf(id) !== undefined
    const open = [...this.#expected.keys()].filter((id) => !isOver(id))
    lines.push(`${this.#expected.size - open.length} flow runs have ended, ${open.length} have not`)
    const keys = new Set(open.slice(0, 5).flatMap((id) => this.#expected.get(id)?.keys ?? []))
    for (const id of open.slice(0, 5)) {
      const seen = this.witness.of(id).slice(-40)
      const states = seen.map(({ runName, to, attempt, node }) => `${runName} ${to.name} ${attempt} ${node}`)
      lines.push(`${id}: ${states.join(', ')}`)
    }
    const deeds = this.ledger.deeds().filter(({ key }) => keys.has(key))
    lines.push(
      ...deeds
        .slice(-20)
        .map(({ what, key, attempt, node, at }) => `${at} ${node} ${what} ${key} ${attempt}`),
    )
    return lines.join('\n')
  }

  /** Lets all nodes go on that stand still: a test that failed may have left some. */
  async wake(): Promise<void> {
    await Promise.all(this.nodes.filter(({ running }) => running).map((node) => node.kill('SIGCONT')))
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.filter(({ running }) => running).map((node) => node.kill()))
    this.witness.stop()
    await this.engine.close()
    await this.station.close()
    await this.streams.delete()
    await this.streams.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Errors, each once, with how often they came. */
function told(errors: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const error of errors) counts.set(error, (counts.get(error) ?? 0) + 1)
  return [...counts].map(([error, count]) => `${count} × ${error.slice(0, 200)}`).join('; ')
}

/** The keys of all items. */
function keysOf(steps: readonly Step[]): string[] {
  return steps.flatMap((step) => {
    if (Array.isArray(step)) return (step as readonly Item[]).map(({ key }) => key)
    return 'below' in step ? keysOf(step.below) : []
  })
}
