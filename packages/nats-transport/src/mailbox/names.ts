import { textOf, tokenOf } from '../tokens.ts'

/** Longest tokens: of a node, and of a flow run whose whole id is in the header, too. */
const longestOwner = 64
const longestFlowRun = 200
/** In place of an owner that nobody knows. */
const nobody = '_'

/** What the mailbox is called on the servers. */
export interface MailNames {
  readonly stream: string
  /** What all subjects begin with, and those of news. */
  readonly prefix: string
  readonly live: string
}

export function mailNames(namespace: string): MailNames {
  return { stream: `${namespace}_MB`, prefix: `${namespace}.mb.`, live: `${namespace}.live.mb.` }
}

export const ownerToken = (owner: string | undefined): string =>
  owner === undefined ? nobody : tokenOf(owner, longestOwner)

export const flowRunToken = (flowRunId: string): string => tokenOf(flowRunId, longestFlowRun)

/** Subjects of all messages to a flow run, whoever is to hear of them first. */
export function ofFlowRun(names: MailNames, flowRunId: string): string {
  return `${names.prefix}*.${flowRunToken(flowRunId)}.>`
}

/** The owner that a subject names. */
export function ownerOf(names: MailNames, subject: string): string | undefined {
  const token = subject.slice(names.prefix.length).split('.')[0] ?? nobody
  return token === nobody ? undefined : textOf(token)
}

/** `Nats-Msg-Id` of a message: names it and its flow run, and is understood by `addressOf`. */
export function messageIdOf(flowRunId: string, id: string): string {
  return `${tokenOf(flowRunId)}.${tokenOf(id)}`
}

/** The flow run and the id of a message, of its `Nats-Msg-Id`. */
export function addressOf(messageId: string): { readonly flowRunId: string; readonly id: string } {
  // Behind the tilde is what tells it from one of the same id that was forgotten.
  const [flowRun = '', id = ''] = messageId.replace(/~.*$/, '').split('.')
  return { flowRunId: textOf(flowRun) ?? flowRun, id: textOf(id) ?? id }
}
