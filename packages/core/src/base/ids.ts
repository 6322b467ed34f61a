import { hash } from 'node:crypto'
import type { Random } from '../ports/random.ts'

/** Crockford's base 32 in lower case: no letters that are mistaken for digits. */
const digits = '0123456789abcdefghjkmnpqrstvwxyz'
/** All pairs of them: an id is put together from few pieces, for each piece makes a string. */
const pairs: readonly string[] = Array.from(
  { length: 32 * 32 },
  (_, bits) => digits.charAt(bits >>> 5) + digits.charAt(bits & 31),
)

function pair(bits: number): string {
  return pairs[bits & 0x3ff] as string
}

/** 30 bits as 6 characters. */
function word(value: number): string {
  return pair(value >>> 20) + pair(value >>> 10) + pair(value)
}

/** `count` × 30 random bits as `count` × 6 characters. */
function words(random: Random, count: number): string {
  let text = ''
  for (let i = 0; i < count; i++) text += word(random.uint32())
  return text
}

/** A new flow run's id, or that of a task run outside any flow: 18 characters, 90 random bits. */
export function newRootId(random: Random): string {
  return words(random, 3)
}

/**
 * A new task run's id: the id of its flow run, a dot, 12 characters (60 random bits; among a million task runs of one
 * flow run two are equal with a chance below 10^-6). The journal that holds the run can be told from the id.
 *
 * @param prefix - See {@link taskRunPrefix}.
 */
export function newTaskRunId(prefix: string, random: Random): string {
  return prefix + words(random, 2)
}

/** What the ids of a flow run's task runs begin with. They share one text: put together in each id it would be kept by each. */
export function taskRunPrefix(flowRunId: string): string {
  return `${flowRunId}.`
}

/**
 * The id of a run whose call has an identity: the same each time the calling body comes to the call again, also where
 * the process died before the call was recorded. So a body may use the id of its run as a key towards other systems.
 *
 * @param call - Everything that tells the call from every other of its flow run.
 * @returns 18 characters, 90 bits of a hash.
 */
export function derivedId(call: readonly (string | number)[]): string {
  const digest = hash('sha256', JSON.stringify(call), 'buffer')
  let text = ''
  for (let i = 0; i < 18; i += 2) text += pair((((digest[i] ?? 0) & 31) << 5) | ((digest[i + 1] ?? 0) & 31))
  return text
}

/** A run's name for people: the one it was given, else its definition's with its number in the journal; none for a root. */
export function runNameOf(given: string | undefined, name: string, index: number): string {
  return given ?? (index === 0 ? name : `${name}-${index}`)
}

/** The flow run whose journal holds the run. */
export function flowRunIdOf(runId: string): string {
  const dot = runId.indexOf('.')
  return dot === -1 ? runId : runId.slice(0, dot)
}

/** A random UUID of version 4 (RFC 9562, section 5.4). */
export function uuidV4(random: Random): string {
  const hex = Array.from({ length: 4 }, () => random.uint32().toString(16).padStart(8, '0')).join('')
  const variant = ((Number.parseInt(hex[16] ?? '0', 16) & 3) | 8).toString(16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
