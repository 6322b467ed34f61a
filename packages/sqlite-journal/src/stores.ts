import { createHash } from 'node:crypto'
import type { Blobs, Cache, Mailbox, MailMessage, Nodes } from '@troupe/core'
import { seal, unseal } from '@troupe/core/internal'
import type { Settings } from './options.ts'
import type { MailOnWire, Read, Write } from './wires.ts'

/** How the stores reach the thread. */
export interface Asking {
  readonly settings: Settings
  readonly ask: <T>(ask: Write | Read) => Promise<T>
}

export function blobsOf({ settings, ask }: Asking): Blobs {
  return {
    async put(bytes) {
      const name = createHash('sha256').update(bytes).digest('hex')
      await ask({ op: 'putBlob', name, bytes: seal([bytes], settings.codecs) })
      return name
    },
    async get(name) {
      const stored = await ask<Uint8Array | undefined>({ op: 'getBlob', name })
      return stored === undefined ? undefined : copyOf(unseal(stored, settings.codecs, `the value ${name}`))
    },
    delete: (name) => ask({ op: 'deleteBlob', name }),
  }
}

export function cacheOf({ settings, ask }: Asking): Cache {
  return {
    async get(key) {
      const found = await ask<{ bytes: Uint8Array; runId: string; expires: number | undefined } | undefined>({
        op: 'getCache',
        key,
      })
      if (found === undefined) return undefined
      const { bytes, runId, expires } = found
      return { value: copyOf(unseal(bytes, settings.codecs, `the cached result ${key}`)), runId, expires }
    },
    put(key, { value, runId, expires }) {
      return ask({ op: 'putCache', key, bytes: seal([value], settings.codecs), runId, expires })
    },
    delete: (key) => ask({ op: 'deleteCache', key }),
  }
}

/** @param listeners - Told of every message. */
export function mailboxOf(
  { settings, ask }: Asking,
  listeners: { add(listener: (message: MailMessage) => void): () => void },
): Mailbox {
  return {
    send: ({ id, flowRunId, body }) =>
      ask({ op: 'send', flowRunId, message: id, bytes: seal([body], settings.codecs) }),
    async pending(flowRunId) {
      const mail = await ask<readonly MailOnWire[]>({ op: 'pending', flowRunId })
      return mail.map((message) => messageOf(message, settings))
    },
    subscribe: (listener) => listeners.add(listener),
    confirm: (flowRunId, id) => ask({ op: 'confirm', flowRunId, message: id }),
    clear: (flowRunId) => ask({ op: 'clear', flowRunId }),
  }
}

export function messageOf({ flowRunId, message: id, bytes }: MailOnWire, { codecs }: Settings): MailMessage {
  return { id, flowRunId, body: copyOf(unseal(bytes, codecs, `a message to ${flowRunId}`)) }
}

export function nodesOf({ settings, ask }: Asking): Nodes {
  const monotonic = (): number => settings.clock.monotonic()
  return {
    announce: (node) => ask({ op: 'announce', node, monotonic: monotonic() }),
    gone: (nodes) => ask({ op: 'gone', nodes: [...nodes], monotonic: monotonic() }),
    withdraw: (node) => ask({ op: 'withdraw', node }),
  }
}

/** Of the reader's own: what came from the thread may share its memory with more. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return bytes.slice()
}
