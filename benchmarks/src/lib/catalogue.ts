import type { Measure } from './measure.ts'

interface MeasureModule {
  readonly measures: Readonly<Record<string, Measure>>
}

type ModuleName =
  | 'bare'
  | 'task-runs'
  | 'memory'
  | 'latency'
  | 'limits'
  | 'telemetry'
  | 'threads'
  | 'durable'
  | 'sqlite'
  | 'peers'
  | 'trivial'
  | 'nats'
  | 'nats-transitions'
  | 'nats-waiting'
  | 'nats-nodes'
  | 'nats-counts'
  | 'nats-idle'
  | 'web'
  | 'ratios'
  | 'flow-runs'
  | 'start-up'
  | 'install'

/** Loaded by name inside a child process: a bare child never loads the engine. */
const modules: Readonly<Record<ModuleName, () => Promise<MeasureModule>>> = {
  bare: () => import('../cases/bare.ts'),
  'task-runs': () => import('../cases/task-runs.ts'),
  memory: () => import('../cases/memory.ts'),
  latency: () => import('../cases/latency.ts'),
  limits: () => import('../cases/limits.ts'),
  telemetry: () => import('../cases/telemetry.ts'),
  threads: () => import('../cases/threads.ts'),
  durable: () => import('../cases/durable.ts'),
  sqlite: () => import('../cases/sqlite.ts'),
  peers: () => import('../cases/peers.ts'),
  trivial: () => import('../cases/trivial.ts'),
  nats: () => import('../cases/nats.ts'),
  'nats-transitions': () => import('../cases/nats-transitions.ts'),
  'nats-waiting': () => import('../cases/nats-waiting.ts'),
  'nats-nodes': () => import('../cases/nats-nodes.ts'),
  'nats-counts': () => import('../cases/nats-counts.ts'),
  'nats-idle': () => import('../cases/nats-idle.ts'),
  web: () => import('../cases/web.ts'),
  ratios: () => import('../cases/ratios.ts'),
  'flow-runs': () => import('../cases/flow-runs.ts'),
  'start-up': () => import('../cases/start-up.ts'),
  install: () => import('../cases/install.ts'),
}

/** `<module>/<measurement>`. */
export type MeasureName = `${ModuleName}/${string}`

const isModuleName = (name: string): name is ModuleName => Object.hasOwn(modules, name)

/** Loads a measurement. */
export async function loadMeasure(name: string): Promise<Measure> {
  const at = name.indexOf('/')
  const [moduleName, key] = [name.slice(0, at), name.slice(at + 1)]
  if (!isModuleName(moduleName)) throw new Error(`no module of measurements "${moduleName}"`)
  const { measures } = await modules[moduleName]()
  const measure = measures[key]
  if (measure === undefined) throw new Error(`no measurement "${name}"`)
  return measure
}
