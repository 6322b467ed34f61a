import { isAbsolute } from 'node:path'
import { pathToFileURL } from 'node:url'
import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import type { Transport } from '../ports/transport.ts'
import { createEngine, type Engine } from './create-engine.ts'
import type { EngineOptions } from './engine-options.ts'

/** @public */
export interface WorkerOptions extends Omit<EngineOptions, 'serve' | 'transport'> {
  /** How it is reached by the nodes whose task runs it executes. */
  readonly transport: Transport
  /** Queues that it takes task runs from, and how many of each it executes at once, such as `{ images: 4 }`. */
  readonly queues: Readonly<Record<string, number>>
  /**
   * Modules that define the tasks: they are loaded first. URLs or absolute paths, such as `new URL('./tasks.js', import.meta.url)`.
   * Default none: those that the program has loaded itself.
   */
  readonly modules?: readonly (string | URL)[]
}

/**
 * An engine that executes task runs of other nodes, and nothing else. Resolves when the others know of it; it takes task runs
 * from then on.
 *
 * @example
 * ```ts
 * const worker = await createWorker({
 *   transport: natsTransport({ servers: '127.0.0.1:4222' }),
 *   queues: { images: 4 },
 *   modules: [new URL('./tasks.js', import.meta.url)],
 * })
 * closeOnSignals(worker, { grace: '30s' })
 * ```
 * @throws UsageError `INVALID_OPTION` (rejects); JournalError `NODE_IN_USE`, and what the transport gives where it can't connect
 * (reject); what a module throws when it is loaded
 * @public
 */
export async function createWorker({ queues, modules = [], ...options }: WorkerOptions): Promise<Engine> {
  if (typeof queues !== 'object' || queues === null || Object.keys(queues).length === 0)
    throw invalid(
      'queues',
      'queues with how many task runs each may execute at once, such as { images: 4 }',
      queues,
    )
  if (options.transport === undefined) throw invalid('transport', 'a transport', options.transport)
  for (const url of urlsOf(modules)) await import(url)
  const engine = createEngine({ ...options, serve: { tasks: queues } })
  try {
    await engine.announced()
  } catch (error) {
    await engine.close()
    throw error
  }
  return engine
}

/** All are looked at before the first is loaded. */
function urlsOf(modules: readonly (string | URL)[]): readonly string[] {
  if (!Array.isArray(modules)) throw invalid('modules', 'a list of URLs or absolute paths', modules)
  return modules.map((module: unknown) => {
    if (module instanceof URL) return module.href
    if (typeof module === 'string' && isAbsolute(module)) return pathToFileURL(module).href
    if (typeof module === 'string' && /^[a-z][a-z+.-]*:/i.test(module)) return module
    throw invalid('modules', 'a list of URLs or absolute paths', module)
  })
}

function invalid(option: string, expected: string, got: unknown): UsageError {
  const message = `expected \`${option}\` to be ${expected}, got ${inWords(got)}`
  return new UsageError('INVALID_OPTION', message, { details: { option } })
}
