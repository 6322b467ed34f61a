/** Names of places inside a value, such as `args[0].items[3].when`. */
import { types } from 'node:util'

/** What stands for a registered instance or a replaced leaf; rendered as `<name>`. */
interface Inner {
  readonly inner: string
}

/**
 * The way from a container to what it holds: a property's key, an index, or an {@link Inner}. In a Map, 2n is
 * the nth key and 2n + 1 its value.
 */
export type Step = string | number | symbol | Inner

/**
 * The place of a value, in notation close to JavaScript.
 *
 * @param root - Name of the outermost value.
 * @param containers - The values on the way, the outermost first.
 * @param steps - The step taken in each of them; undefined where none has been taken yet.
 */
export function renderPath(
  root: string,
  containers: readonly object[],
  steps: readonly (Step | undefined)[],
): string {
  return containers.reduce<string>((path, container, i) => path + renderStep(container, steps[i]), root)
}

function renderStep(container: object, step: Step | undefined): string {
  if (step === undefined) return ''
  if (typeof step === 'object') return `<${step.inner}>`
  if (typeof step === 'symbol') return `[${String(step)}]`
  if (typeof step === 'string')
    return /^[A-Za-z_$][\w$]*$/.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`
  if (types.isMap(container)) return renderMapStep(container, step)
  return types.isSet(container) ? `.values()[${step}]` : `[${step}]`
}

function renderMapStep(map: ReadonlyMap<unknown, unknown>, step: number): string {
  const index = step >> 1
  if (step % 2 === 0) return `.keys()[${index}]`
  const key = [...map.keys()][index]
  if (typeof key === 'string') return `.get(${JSON.stringify(key)})`
  const isShort = typeof key === 'number' || typeof key === 'bigint' || typeof key === 'boolean'
  return isShort ? `.get(${key})` : `.values()[${index}]`
}
