import { UsageError } from '../base/errors.ts'
import { notPending } from '../base/not-pending.ts'
import { inWords } from '../base/words.ts'

/**
 * Name of each run for people: a text in which `{0}` stands for the first argument and `{1.file}` for a property of the
 * second, or a function of the arguments.
 *
 * @public
 */
export type RunName = string | ((...parameters: never) => string)

const placeholder = /\{(\d+(?:\.[^{}.]+)*)\}/g

/** Whether the name is the same for all arguments. */
export function isFixed(name: RunName): name is string {
  return typeof name === 'string' && name.search(placeholder) === -1
}

/** @throws UsageError `INVALID_OPTION` where what it names is not there, or a function gives no text; what a function throws */
export function nameFor(name: RunName, args: readonly unknown[]): string {
  const made =
    typeof name === 'string'
      ? name.replaceAll(placeholder, (_, path: string) => textAt(args, path))
      : notPending((name as (...parameters: readonly unknown[]) => unknown)(...args))
  if (typeof made === 'string' && made !== '') return made
  throw new UsageError('INVALID_OPTION', `expected \`runName\` to give a text, got ${inWords(made)}`, {
    details: { option: 'runName' },
  })
}

function textAt(args: readonly unknown[], path: string): string {
  let at: unknown = args
  for (const key of path.split('.')) {
    if (at === null || at === undefined || !Object.hasOwn(Object(at) as object, key)) {
      throw new UsageError('INVALID_OPTION', `\`runName\` names {${path}}, which the arguments do not have`, {
        details: { option: 'runName', path },
      })
    }
    at = (at as Record<string, unknown>)[key]
  }
  return typeof at === 'string' ? at : inWords(at)
}
