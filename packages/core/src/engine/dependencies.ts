import { UsageError } from '../base/errors.ts'
import { inWords } from '../base/words.ts'
import type { Run } from './run.ts'
import { nativePromise, twoCopies, unmappedOutside } from '../runs/refused-arguments.ts'
import { Handle, isForeignFuture } from '../runs/future.ts'
import { runOfFuture, runOfHandle } from './handles.ts'
import { AllowFailure, Moved, Opaque, Unmapped } from '../runs/markers.ts'

/** Futures are looked for this deep in plain arrays, objects, maps and sets; what lies deeper is handed on as it is. */
const deepest = 16

/** A run that a value refers to. */
export interface Dependency {
  readonly run: Run
  readonly mayFail: boolean
}

type Visit = (leaf: object, path: string) => void

/** Whether a search goes into the value: a plain array, object, map or set. */
function isContainer(value: object): boolean {
  if (Array.isArray(value) || value instanceof Map || value instanceof Set) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Calls `visit` with every object that is not a container, until it has seen them all. Cycles are seen once. */
class Search {
  readonly #visit: Visit
  readonly #seen = new Set<object>()

  constructor(visit: Visit) {
    this.#visit = visit
  }

  in(value: unknown, path: string, depth: number): void {
    if (typeof value !== 'object' || value === null) return
    if (!isContainer(value)) {
      this.#visit(value, path)
      return
    }
    if (depth >= deepest || this.#seen.has(value)) return
    this.#seen.add(value)
    if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) {
        const item: unknown = value[i]
        if (typeof item === 'object' && item !== null) this.in(item, `${path}[${i}]`, depth + 1)
      }
    } else if (value instanceof Map) {
      for (const [key, item] of value) {
        this.in(key, `${path}.keys()`, depth + 1)
        this.in(item, `${path}.get(${inWords(key)})`, depth + 1)
      }
    } else if (value instanceof Set) {
      for (const item of value) this.in(item, `${path}.values()`, depth + 1)
    } else {
      for (const key of Object.keys(value)) {
        const item: unknown = (value as Record<string, unknown>)[key]
        if (typeof item === 'object' && item !== null) this.in(item, `${path}.${key}`, depth + 1)
      }
    }
  }
}

const nothing: readonly Dependency[] = []

/**
 * The futures in a value, in the order in which they stand there. Everything found is looked at. In `waitFor`, where there is nothing else
 * to be, handles are runs, too.
 *
 * @param path - What the value is called in messages.
 * @throws {@link UsageError} `NATIVE_PROMISE`, `TWO_COPIES`, `INVALID_OPTION` (an `unmapped` outside `map`, a run of another node in
 * `waitFor`)
 */
export function findDependencies(value: unknown, path: 'args' | 'waitFor'): readonly Dependency[] {
  if (!mayHoldFutures(value)) return nothing
  let found: Dependency[] | undefined
  const visit: Visit = (leaf, where) => {
    const mayFail = leaf instanceof AllowFailure
    const target = mayFail ? leaf.future : leaf
    const run = path === 'args' ? runOfFuture(target) : (runOfFuture(target) ?? runOfHandle(target))
    if (run !== undefined) {
      run.looked = true
      // A list that begins with its first item takes a tenth of the room of one that it is pushed to.
      if (found === undefined) found = [{ run, mayFail }]
      else found.push({ run, mayFail })
      return
    }
    if (path === 'waitFor' && target instanceof Handle) throw elsewhere(where)
    if (mayFail) new Search((inner, at) => visit(new AllowFailure(inner), at)).in(target, where, 0)
    else refuse(leaf, where)
  }
  new Search(visit).in(value, path, 0)
  return found ?? nothing
}

function elsewhere(where: string): UsageError {
  const message = `\`${where}\` is a run that this engine does not have, and can't be waited for by an option; await its \`wait()\` before the call`
  return new UsageError('INVALID_OPTION', message, { details: { option: 'waitFor' } })
}

/** What stands in what a body returned. */
export interface Returned {
  /** The runs whose futures or handles do. They are looked at. */
  readonly runs: readonly Run[]
  /** Whether something is to be replaced. */
  readonly marked: boolean
}

export function findReturned(value: unknown): Returned {
  if (typeof value !== 'object' || value === null) return { runs: [], marked: false }
  const found: Run[] = []
  let marked = false
  const visit: Visit = (leaf) => {
    marked ||= leaf instanceof Moved
    const run = runOfHandle(leaf)
    if (run === undefined) return
    run.looked = true
    found.push(run)
  }
  new Search(visit).in(value, 'the returned value', 0)
  return { runs: found, marked: marked || found.length > 0 }
}

/** False for what most calls have: primitives, and lists of them. */
function mayHoldFutures(value: unknown): boolean {
  if (!Array.isArray(value)) return typeof value === 'object' && value !== null
  for (let i = 0; i < value.length; i++) {
    const item: unknown = value[i]
    if (typeof item === 'object' && item !== null) return true
  }
  return false
}

function refuse(leaf: object, path: string): void {
  if (leaf instanceof Promise) throw nativePromise(path)
  if (isForeignFuture(leaf)) throw twoCopies(path)
  if (leaf instanceof Unmapped) throw unmappedOutside(path)
  if (leaf instanceof Moved) leaf.give(path)
}

/**
 * The value with every future replaced by what `resolve` gives for its run, and markers taken off. Containers are copied
 * only where something in them is replaced.
 *
 * @param handlesToo - Whether bare handles stand for their values, too.
 */
export function replaceFutures(
  value: unknown,
  resolve: (run: Run, mayFail: boolean) => unknown,
  handlesToo = false,
): unknown {
  if (!mayHoldFutures(value)) return value
  const runOf = handlesToo ? runOfHandle : runOfFuture
  const replacing = new Replacing(resolve, runOf, false)
  const replaced = replacing.replace(value, 0)
  if (replaced === value || !replacing.cyclic) return replaced
  return new Replacing(resolve, runOf, true).replace(value, 0)
}

class Replacing {
  readonly #resolve: (run: Run, mayFail: boolean) => unknown
  readonly #runOf: (leaf: unknown) => Run | undefined
  readonly #done = new Map<object, unknown>()
  /** Containers whose contents are being replaced, with their copies where a cycle has asked for one. */
  readonly #open = new Map<object, object | undefined>()
  readonly #copyCycles: boolean
  /** Whether the value refers to itself. */
  cyclic = false

  constructor(
    resolve: (run: Run, mayFail: boolean) => unknown,
    runOf: (leaf: unknown) => Run | undefined,
    copyCycles: boolean,
  ) {
    this.#resolve = resolve
    this.#runOf = runOf
    this.#copyCycles = copyCycles
  }

  replace(value: unknown, depth: number): unknown {
    if (typeof value !== 'object' || value === null) return value
    if (!isContainer(value)) return this.#leaf(value)
    if (depth >= deepest) return value
    if (this.#done.has(value)) return this.#done.get(value)
    if (this.#open.has(value)) return this.#again(value)
    this.#open.set(value, undefined)
    const contents = this.#container(value, depth + 1)
    const begun = this.#open.get(value)
    const copy = begun === undefined ? contents : fill(begun, contents as object)
    this.#open.delete(value)
    this.#done.set(value, copy)
    return copy
  }

  /** A container inside itself: where cycles are copied, what will be its copy. */
  #again(value: object): object {
    this.cyclic = true
    if (!this.#copyCycles) return value
    const copy = this.#open.get(value) ?? emptyLike(value)
    this.#open.set(value, copy)
    return copy
  }

  #leaf(leaf: object): unknown {
    if (leaf instanceof Opaque || leaf instanceof Moved) return leaf.value
    if (leaf instanceof AllowFailure) {
      const run = runOfFuture(leaf.future)
      return run === undefined ? allowing(this.#resolve, leaf.future) : this.#resolve(run, true)
    }
    const run = this.#runOf(leaf)
    return run === undefined ? leaf : this.#resolve(run, false)
  }

  #container(value: object, depth: number): unknown {
    if (Array.isArray(value)) return this.#array(value, depth)
    if (value instanceof Map) {
      let changed = false
      const copy = new Map<unknown, unknown>()
      for (const [key, item] of value as Map<unknown, unknown>) {
        const newKey = this.replace(key, depth)
        const newItem = this.replace(item, depth)
        changed ||= newKey !== key || newItem !== item
        copy.set(newKey, newItem)
      }
      return changed ? copy : value
    }
    if (value instanceof Set) {
      const copy = new Set([...(value as Set<unknown>)].map((item) => this.replace(item, depth)))
      return [...copy].some((item) => !value.has(item)) ? copy : value
    }
    return this.#object(value as Record<string, unknown>, depth)
  }

  #array(value: readonly unknown[], depth: number): unknown {
    let copy: unknown[] | undefined
    for (let i = 0; i < value.length; i++) {
      const item = value[i]
      if (typeof item !== 'object' || item === null) continue
      const replaced = this.replace(item, depth)
      if (replaced !== item) (copy ??= [...value])[i] = replaced
    }
    return copy ?? value
  }

  #object(value: Record<string, unknown>, depth: number): unknown {
    let copy: Record<string, unknown> | undefined
    for (const key of Object.keys(value)) {
      const item = value[key]
      if (typeof item !== 'object' || item === null) continue
      const replaced = this.replace(item, depth)
      if (replaced === item) continue
      copy ??= Object.assign(
        Object.create(Object.getPrototypeOf(value) as object | null) as Record<string, unknown>,
        value,
      )
      copy[key] = replaced
    }
    return copy ?? value
  }
}

/** `allowFailure` around a container: every future in it may fail. */
function allowing(resolve: (run: Run, mayFail: boolean) => unknown, value: unknown): unknown {
  return replaceFutures(value, (run) => resolve(run, true))
}

function emptyLike(value: object): object {
  if (Array.isArray(value)) return []
  if (value instanceof Map) return new Map()
  if (value instanceof Set) return new Set()
  return Object.create(Object.getPrototypeOf(value) as object | null) as object
}

/** Puts the contents of a container into an empty one of its kind. */
function fill(empty: object, contents: object): object {
  if (Array.isArray(empty)) for (const item of contents as unknown[]) empty.push(item)
  else if (empty instanceof Map)
    for (const [key, item] of contents as Map<unknown, unknown>) empty.set(key, item)
  else if (empty instanceof Set) for (const item of contents as Set<unknown>) empty.add(item)
  else Object.assign(empty, contents)
  return empty
}
