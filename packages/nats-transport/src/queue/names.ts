import type { QueueName, QueuePriority } from '@troupe/core'
import { tokenOf } from '../tokens.ts'

/** The lanes of a queue, the first first. */
export const priorities = ['high', 'normal', 'low'] as const satisfies readonly QueuePriority[]

/** Longest token of a queue's name: names of consumers are names of files on the server. */
const longestName = 64
/** Longest token of an offer's id; the id itself is in the header, too. */
const longestId = 200

/** What the queues of one kind are called on the servers. */
export interface KindNames {
  readonly stream: string
  /** All subjects of the stream. */
  readonly subjects: string
}

/** What one queue is called on the servers. */
export interface QueueNames extends KindNames {
  /** What the subjects of the queue begin with, up to the dot before the priority. */
  readonly prefix: string
  /** Its durable consumers. */
  readonly consumer: Readonly<Record<QueuePriority, string>>
  /** What the ids of its messages begin with, up to the dot before the offer's. */
  readonly messageId: string
}

export function kindNames(namespace: string, of: QueueName['of']): KindNames {
  return of === 'task'
    ? { stream: `${namespace}_TQ`, subjects: `${namespace}.task.>` }
    : { stream: `${namespace}_FQ`, subjects: `${namespace}.flow.>` }
}

export function queueNames(namespace: string, { of, name }: QueueName): QueueNames {
  const token = tokenOf(name, longestName)
  const consumer = (priority: QueuePriority): string =>
    `${of === 'task' ? 't' : 'f'}-${token}-${signs[priority]}`
  return {
    ...kindNames(namespace, of),
    prefix: `${namespace}.${of}.${token}.`,
    consumer: { high: consumer('high'), normal: consumer('normal'), low: consumer('low') },
    messageId: `${token}.`,
  }
}

const signs = { high: 'h', normal: 'n', low: 'l' } as const satisfies Record<QueuePriority, string>

export function subjectOf(names: QueueNames, priority: QueuePriority, id: string): string {
  return `${names.prefix}${signs[priority]}.${tokenOf(id, longestId)}`
}

/** The subjects of an offer, whatever its priority. */
export function anyPriority(names: QueueNames, id: string): string {
  return `${names.prefix}*.${tokenOf(id, longestId)}`
}

/** The subjects of one lane. */
export function laneSubjects(names: QueueNames, priority: QueuePriority): string {
  return `${names.prefix}${signs[priority]}.*`
}

/** Which lane a subject of the queue is of, and the token of its id. */
export function laneOf(
  names: QueueNames,
  subject: string,
): { readonly lane: number; readonly token: string } {
  const at = names.prefix.length
  const sign = subject[at]
  return { lane: sign === 'h' ? 0 : sign === 'n' ? 1 : 2, token: subject.slice(at + 2) }
}
