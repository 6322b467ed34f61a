import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { GroupResult } from './evaluate.ts'
import type { Surroundings } from './surroundings.ts'

/** A results file, as it is read back. */
export interface Results {
  readonly name: string
  readonly at: string
  /** How long the whole took. Older files do not say. */
  readonly tookSeconds?: number
  readonly options: { readonly rounds: number }
  readonly surroundings: Surroundings & Readonly<Record<string, unknown>>
  readonly loads: { readonly before: number; readonly after: number }
  readonly groups: readonly GroupResult[]
}

/** A results file, as it is written. */
export type Written = Omit<Results, 'at' | 'options'> & {
  readonly about: string
  readonly at: Date
  readonly options: object
}

const folder = new URL('../../results/', import.meta.url)

/** This Node's, since figures of different ones do not compare. */
const nodeMajor = (): string => process.versions.node.split('.')[0] ?? ''

/** What was measured before; undefined where there is nothing. Numbers that were none are NaN again. */
export function readResults(name: string, major = nodeMajor()): Results | undefined {
  const file = new URL(`${name}.node${major}.json`, folder)
  if (!existsSync(file)) return undefined
  const revive = (_key: string, value: unknown): unknown => (value === null ? NaN : value)
  return JSON.parse(readFileSync(file, 'utf8'), revive) as Results
}

/** Writes a results file and gives its path. A partial one does not take the place of a whole one. */
export function writeResults(results: Written, isPartial: boolean): string {
  mkdirSync(folder, { recursive: true })
  const name = `${results.name}${isPartial ? '.draft' : ''}.node${nodeMajor()}.json`
  const file = fileURLToPath(new URL(name, folder))
  // Where another commit was built is nobody's business.
  const shown = (key: string, value: unknown): unknown => (key === 'checkout' ? undefined : value)
  writeFileSync(file, `${JSON.stringify(results, shown, 2)}\n`)
  return file
}
