import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker, type MessagePort, type WorkerOptions } from 'node:worker_threads'
import { startThread } from './thread.ts'
import type { Settings } from './options.ts'
import type { ThreadData } from './wires.ts'

/** Chooses the light entries of Troupe's packages: without XState and RxJS. */
const threadCondition = '--conditions=@troupe/thread'
/** For Troupe's own tests, whose processes load its sources; threads load what was built of them. */
const sourceCondition = '@troupe/source'

/**
 * Starts a thread that executes bodies. It does not keep the process alive.
 *
 * @param modules - Of a task that is to be executed there: where this code is part of a bundle, the bundle is one of them.
 */
export function spawn(
  data: ThreadData,
  {
    settings,
    modules,
    transfer,
  }: { settings: Settings; modules: readonly string[]; transfer: readonly MessagePort[] },
): Worker {
  const entry = entryFile()
  const options: WorkerOptions = {
    eval: entry === undefined,
    workerData:
      entry === undefined
        ? { ...data, bundles: [ownUrl(), ...modules].filter((url) => url !== undefined) }
        : data,
    transferList: [...transfer],
    // What the program was started with; a module that reads its arguments finds them.
    argv: process.argv.slice(2),
    execArgv: [...argumentsOfThread(process.execArgv, ofLoading), threadCondition],
    name: 'troupe',
    ...(settings.env === undefined ? undefined : { env: settings.env }),
    ...(settings.resourceLimits === undefined ? undefined : { resourceLimits: settings.resourceLimits }),
  }
  const worker = create(entry ?? bootstrap, options)
  worker.unref()
  return worker
}

function create(entry: URL | string, options: WorkerOptions): Worker {
  try {
    return new Worker(entry, options)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_WORKER_INVALID_EXEC_ARGV') throw error
    // Which options are for the whole process depends on the version of Node.
    const least = argumentsOfThread(process.execArgv, ofModules)
    return new Worker(entry, { ...options, execArgv: [...least, threadCondition] })
  }
}

/** URL of this code; undefined in a bundle in CommonJS. */
function ownUrl(): string | undefined {
  return (import.meta as { url?: string }).url
}

/** The file that a thread loads first; undefined in a bundle, which has no such file. */
function entryFile(): URL | undefined {
  const own = ownUrl()
  if (own === undefined) return undefined
  // From source there is nothing that a thread could load: what was built of it is beside it.
  const entry = new URL(own.endsWith('.ts') ? '../../dist/worker-threads/entry.js' : './entry.js', own)
  return existsSync(fileURLToPath(entry)) ? entry : undefined
}

/**
 * Options of the process that say how modules are loaded: a thread gets these. Others a thread may not have, or they are
 * not for it, as `--inspect`.
 *
 * @see https://nodejs.org/api/worker_threads.html#new-workerfilename-options
 */
const ofModules = /^(--import|--require|-r|--loader|--experimental-loader|--conditions|-C)(=|$)/
const ofLoading = new RegExp(
  `${ofModules.source}|^--(enable-source-maps|preserve-symlinks|(no-)?experimental-[a-z-]+|(no-)?warnings|(no-)?deprecation|disable-warning|trace-[a-z-]+|unhandled-rejections|stack-trace-limit)(=|$)`,
)
const withValue = new Set([
  '--import',
  '--require',
  '-r',
  '--loader',
  '--experimental-loader',
  '--conditions',
  '-C',
  '--disable-warning',
])

function argumentsOfThread(args: readonly string[], wanted: RegExp): string[] {
  const kept: string[] = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ''
    const taken = withValue.has(arg) ? [arg, args[++i] ?? ''] : [arg]
    if (wanted.test(arg) && !taken.join('=').endsWith(`=${sourceCondition}`)) kept.push(...taken)
  }
  return kept
}

/** Where a module of a bundle says how it executes bodies in a thread. */
const key = Symbol.for('@troupe/runners/start-thread')
;(globalThis as { [key]?: () => void })[key] = startThread

/**
 * What a thread runs where this code is part of a bundle: it loads the bundle, in which this file says how to go on. Flows
 * must not start meanwhile.
 */
const bootstrap = `
const { parentPort, workerData } = require('node:worker_threads')
const early = []
const refused = (message) => {
  early.push(message)
  parentPort.postMessage({ from: 'flow', message })
}
globalThis[Symbol.for('@troupe/core/task-thread')] = { early, refused }
const key = Symbol.for('@troupe/runners/start-thread')
async function start() {
  for (const url of workerData.bundles) {
    await import(url).catch(() => undefined)
    if (globalThis[key] !== undefined) return globalThis[key]()
  }
  throw new Error('none of ' + workerData.bundles.join(', ') + ' loads @troupe/runners at its top level; import it there, or leave it out of the bundle')
}
start()
`
