import { isAbsolute } from 'node:path'
import { pathToFileURL } from 'node:url'

/** The line that calls `below`, for messages. */
export function callerPlace(below: (...args: never[]) => unknown): string {
  const holder: { stack?: string } = {}
  const limit = Error.stackTraceLimit
  // Not assigned: where intrinsics are frozen that throws.
  Reflect.set(Error, 'stackTraceLimit', 1)
  Error.captureStackTrace(holder, below)
  Reflect.set(Error, 'stackTraceLimit', limit)
  return holder.stack?.split('\n')[1]?.trim().replace(/^at /, '') ?? 'an unknown place'
}

/** Where a definition is made. */
export interface Origins {
  /** URLs of the modules whose code makes it, the nearest first. */
  readonly modules: readonly string[]
  /** Whether that is known to happen whenever the last of them is loaded. */
  readonly whileLoading: boolean
}

/** Frames that are looked at: a helper that defines tasks, and what calls it. */
const frames = 30

/** A frame as V8 gives it; the types of Node leave this out. */
interface AsyncSite extends NodeJS.CallSite {
  isAsync(): boolean
}

/**
 * The modules whose code calls `below`: those that make a definition when they are loaded. Modules of packages only where
 * there are no others.
 *
 * From the call sites and not from the text of the stack, which source maps turn into names of files that were never
 * loaded. `util.getCallSites` is not on Node 20, and gives the mapped names too.
 */
export function originsOf(below: (...args: never[]) => unknown): Origins {
  const urls: string[] = []
  for (const site of callSites(below)) {
    const file = site.getFileName()
    // What comes after required or imported the module, and does not define anything.
    if (file?.startsWith('node:internal/modules/') === true)
      return { modules: ownFirst(urls), whileLoading: true }
    const url = urlOf(file)
    if (url !== undefined && !urls.includes(url)) urls.push(url)
  }
  return { modules: ownFirst(urls), whileLoading: false }
}

function ownFirst(urls: readonly string[]): readonly string[] {
  const own = urls.filter((url) => !url.includes('/node_modules/'))
  return own.length > 0 ? own : urls
}

function callSites(below: (...args: never[]) => unknown): readonly NodeJS.CallSite[] {
  // oxlint-disable-next-line typescript/unbound-method -- put back as it was
  const { prepareStackTrace, stackTraceLimit } = Error
  const holder: { stack?: unknown } = {}
  try {
    Reflect.set(Error, 'stackTraceLimit', frames)
    Reflect.set(Error, 'prepareStackTrace', (_: Error, sites: NodeJS.CallSite[]) => sites)
    Error.captureStackTrace(holder, below)
    // Where intrinsics are frozen it is a text.
    if (!Array.isArray(holder.stack)) return []
    // What awaits a module is another one: its frames are no calls.
    return (holder.stack as AsyncSite[]).filter((site) => !site.isAsync())
  } finally {
    Reflect.set(Error, 'prepareStackTrace', prepareStackTrace)
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit)
  }
}

/** The URL of a module by its URL or path; CommonJS gives paths. What is no file can't be loaded. */
export function urlOf(file: string | null | undefined): string | undefined {
  // Code of `node --eval` and of standard input is in no file.
  if (file == null || /\[(eval|stdin)\d*\]$/.test(file)) return undefined
  if (file.startsWith('file:')) return file
  return isAbsolute(file) ? pathToFileURL(file).href : undefined
}
