import { isAbsolute } from 'node:path'
import { pathToFileURL } from 'node:url'

/** The line that calls `below`, for messages. */
export function callerPlace(below: (...args: never[]) => unknown): string {
  const holder: { stack?: string } = {}
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 1
  Error.captureStackTrace(holder, below)
  Error.stackTraceLimit = limit
  return holder.stack?.split('\n')[1]?.trim().replace(/^at /, '') ?? 'an unknown place'
}

/** Frames that are looked at: a helper that defines tasks, and what calls it. */
const frames = 30
/** Modules that are tried at the most: under CommonJS the frames go on into whatever requires the module. */
const most = 3

/**
 * URLs of the modules whose code calls `below`, the nearest first: those that define a task when they are loaded. Modules
 * of packages only where there are no others.
 *
 * From the call sites and not from the text of the stack, which source maps turn into names of files that were never
 * loaded. `util.getCallSites` is not on Node 20, and gives the mapped names too.
 */
export function modulesOf(below: (...args: never[]) => unknown): readonly string[] {
  // oxlint-disable-next-line typescript/unbound-method -- put back as it was
  const { prepareStackTrace, stackTraceLimit } = Error
  const holder: { stack?: NodeJS.CallSite[] } = {}
  try {
    Error.stackTraceLimit = frames
    Error.prepareStackTrace = (_, sites) => sites
    Error.captureStackTrace(holder, below)
    // What awaits the module is another one: its frames are no calls.
    const calls = (holder.stack ?? []).filter((site) => !(site as AsyncSite).isAsync())
    const names = calls.map((site) => urlOf(site.getFileName()))
    const urls = [...new Set(names.filter((url) => url !== undefined))]
    const own = urls.filter((url) => !url.includes('/node_modules/'))
    return (own.length > 0 ? own : urls).slice(0, most)
  } finally {
    Error.prepareStackTrace = prepareStackTrace
    Error.stackTraceLimit = stackTraceLimit
  }
}

/** A frame as V8 gives it; the types of Node leave this out. */
interface AsyncSite extends NodeJS.CallSite {
  isAsync(): boolean
}

/** CommonJS gives paths; what is no file, as the insides of Node, can't be loaded. */
function urlOf(file: string | null | undefined): string | undefined {
  // Code of `node --eval` and of standard input is in no file.
  if (file == null || /\[(eval|stdin)\d*\]$/.test(file)) return undefined
  if (file.startsWith('file:')) return file
  return isAbsolute(file) ? pathToFileURL(file).href : undefined
}
