import assert from 'node:assert/strict'
import type { Mailbox, MailMessage } from '../ports/mailbox.ts'
import { casesOf, type ConformanceCase, type Opened } from './conformance.ts'

/** A mailbox that a suite opens, new and empty. @public */
export interface OpenedMailbox extends Opened {
  readonly mailbox: Mailbox
}

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

function messageOf(
  flowRunId: string,
  id: string,
  body: Uint8Array | string = `${flowRunId} ${id}`,
): MailMessage {
  return { flowRunId, id, body: typeof body === 'string' ? text(body) : body }
}

/** A message in words that can be compared. */
const shown = ({ flowRunId, id, body }: MailMessage): string =>
  `${flowRunId}/${id}: ${Buffer.from(body).toString('latin1')}`

async function assertPending(
  mailbox: Mailbox,
  flowRunId: string,
  messages: readonly MailMessage[],
): Promise<void> {
  const pending = await mailbox.pending(flowRunId)
  for (const { body } of pending) assert.ok(body instanceof Uint8Array)
  assert.deepEqual(pending.map(shown), messages.map(shown))
}

/** What every mailbox is held to. @public */
export function mailboxConformance(make: () => Promise<OpenedMailbox>): ConformanceCase[] {
  return casesOf(make, {
    async 'has nothing for a flow run that nobody wrote to'({ mailbox }) {
      assert.deepEqual([...(await mailbox.pending('nobody'))], [])
    },
    async 'gives back messages with every byte, in the order in which they were sent'({ mailbox }) {
      const large = new Uint8Array(1_000_000).map((_, index) => index % 251)
      // Neither the order of the ids nor that of the sizes.
      const messages = [
        messageOf('run', 'm'),
        messageOf('run', 'a', ''),
        messageOf('run', 'z', Uint8Array.of(0, 255, 0)),
        messageOf('run', 'b', large),
        messageOf('run', "it's %_ ü", 'of an id with signs'),
      ]
      for (const message of messages) await mailbox.send(message)
      await assertPending(mailbox, 'run', messages)
      await assertPending(mailbox, 'run', messages)
    },
    async 'keeps the order of messages that are sent at once'({ mailbox }) {
      const messages = Array.from({ length: 50 }, (_, index) => messageOf('run', `m${(index * 7) % 50}`))
      await Promise.all(messages.map((message) => mailbox.send(message)))
      await assertPending(mailbox, 'run', messages)
    },
    async 'receives a message once that is sent again, and keeps the first'({ mailbox }) {
      await mailbox.send(messageOf('run', 'a', 'first'))
      await mailbox.send(messageOf('run', 'b'))
      await mailbox.send(messageOf('run', 'a', 'again'))
      await Promise.all([1, 2, 3].map(() => mailbox.send(messageOf('run', 'b'))))
      await assertPending(mailbox, 'run', [messageOf('run', 'a', 'first'), messageOf('run', 'b')])
    },
    async 'keeps flow runs apart, also where ids are the same'({ mailbox }) {
      await mailbox.send(messageOf('one', 'a'))
      await mailbox.send(messageOf('two', 'a'))
      await mailbox.send(messageOf('one', 'b'))
      await assertPending(mailbox, 'one', [messageOf('one', 'a'), messageOf('one', 'b')])
      await assertPending(mailbox, 'two', [messageOf('two', 'a')])
    },
    async 'forgets what is confirmed, and only that'({ mailbox }) {
      for (const id of ['a', 'b', 'c']) await mailbox.send(messageOf('run', id))
      await mailbox.send(messageOf('other', 'b'))
      await mailbox.confirm('run', 'b')
      await mailbox.confirm('run', 'b')
      await mailbox.confirm('run', 'unknown')
      await mailbox.confirm('nobody', 'a')
      await assertPending(mailbox, 'run', [messageOf('run', 'a'), messageOf('run', 'c')])
      await assertPending(mailbox, 'other', [messageOf('other', 'b')])
    },
    async 'forgets all messages to a flow run that is cleared, and takes new ones'({ mailbox }) {
      for (const id of ['a', 'b']) await mailbox.send(messageOf('run', id))
      await mailbox.send(messageOf('other', 'a'))
      await mailbox.clear('run')
      await mailbox.clear('run')
      await mailbox.clear('nobody')
      await assertPending(mailbox, 'run', [])
      await assertPending(mailbox, 'other', [messageOf('other', 'a')])
      await mailbox.send(messageOf('run', 'a', 'anew'))
      await assertPending(mailbox, 'run', [messageOf('run', 'a', 'anew')])
    },
    async 'tells every listener of each message once, in the order of sending'({ mailbox }) {
      const told: string[] = []
      const others: string[] = []
      await mailbox.send(messageOf('run', 'before'))
      mailbox.subscribe((message) => told.push(shown(message)))
      mailbox.subscribe(({ id }) => others.push(id))
      // What was asked before is done: a listener elsewhere may be told from a moment after the call on.
      await mailbox.pending('run')
      const messages = [messageOf('run', 'z'), messageOf('other', 'a'), messageOf('run', 'b')]
      for (const message of messages) await mailbox.send(message)
      await mailbox.send(messageOf('run', 'z', 'again'))
      await mailbox.confirm('run', 'z')
      assert.deepEqual(told, messages.map(shown))
      assert.deepEqual(others, ['z', 'a', 'b'])
    },
    async 'has stored what it tells a listener of'({ mailbox }) {
      const reads: Promise<readonly MailMessage[]>[] = []
      mailbox.subscribe(({ flowRunId }) => reads.push(mailbox.pending(flowRunId)))
      await mailbox.pending('run')
      await mailbox.send(messageOf('run', 'a'))
      assert.deepEqual(
        (await Promise.all(reads)).map((pending) => pending.map(shown)),
        [[shown(messageOf('run', 'a'))]],
      )
    },
    async 'tells a listener nothing after its subscription ended, and the others all the same'({ mailbox }) {
      const told = { once: 0, never: 0, always: 0 }
      const endNever = mailbox.subscribe(() => told.never++)
      const endOnce = mailbox.subscribe(() => {
        told.once++
        endOnce()
      })
      mailbox.subscribe(() => told.always++)
      endNever()
      endNever()
      await mailbox.pending('run')
      for (const id of ['a', 'b']) await mailbox.send(messageOf('run', id))
      assert.deepEqual(told, { once: 1, never: 0, always: 2 })
    },
    async 'stores only the bytes of a view, and is untouched by what callers do to them'({ mailbox }) {
      const bytes = text('xxcontentxx')
      await mailbox.send(messageOf('run', 'a', bytes.subarray(2, 9)))
      bytes.fill(0)
      const [got] = await mailbox.pending('run')
      got?.body.fill(1)
      await assertPending(mailbox, 'run', [messageOf('run', 'a', 'content')])
    },
  })
}
