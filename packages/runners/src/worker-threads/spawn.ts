import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker, type MessagePort } from 'node:worker_threads'
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
  const worker = new Worker(entry ?? bootstrap, {
    eval: entry === undefined,
    workerData:
      entry === undefined
        ? { ...data, bundles: [ownUrl(), ...modules].filter((url) => url !== undefined) }
        : data,
    transferList: [...transfer],
    // What the program was started with; a module that reads its arguments finds them.
    argv: process.argv.slice(2),
    execArgv: [...withoutSource(process.execArgv), threadCondition],
    name: 'troupe',
    ...(settings.env === undefined ? undefined : { env: settings.env }),
    ...(settings.resourceLimits === undefined ? undefined : { resourceLimits: settings.resourceLimits }),
  })
  worker.unref()
  return worker
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

function withoutSource(args: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? ''
    const isPair = arg === '--conditions' || arg === '-C'
    if (isPair && args[i + 1] === sourceCondition) i++
    else if (isPair) kept.push(`--conditions=${args[++i]}`)
    else if (arg !== `--conditions=${sourceCondition}`) kept.push(arg)
  }
  return kept.filter((arg) => !isOfProcess.test(arg))
}

/** Options that a thread may not have, or that run the program once more in it. */
const isOfProcess =
  /^(--inspect|--title|--max-|--stack-|--expose|--test|-e$|--eval|-p$|--print|-i$|--interactive|--input-type)/

/** Where a module of a bundle says how it executes bodies in a thread. */
const key = Symbol.for('@troupe/runners/start-thread')
;(globalThis as { [key]?: () => void })[key] = startThread

/**
 * What a thread runs where this code is part of a bundle: it loads the bundle, in which this file says how to go on. Flows
 * must not start meanwhile.
 */
const bootstrap = `
const { workerData } = require('node:worker_threads')
const early = []
globalThis[Symbol.for('@troupe/core/task-thread')] = { early, refused: (message) => early.push(message) }
const key = Symbol.for('@troupe/runners/start-thread')
async function start() {
  for (const url of workerData.bundles) {
    await import(url).catch(() => undefined)
    if (globalThis[key] !== undefined) return globalThis[key]()
  }
  throw new Error('no thread can be started: none of ' + workerData.bundles.join(', ') + ' holds @troupe/runners; do not bundle it, or bundle it together with the tasks')
}
start()
`
