import assert from 'node:assert/strict'
import type { Mailbox, MailMessage } from '../ports/mailbox.ts'
import { casesOf, Told, type ConformanceCase, type Opened } from './conformance.ts'

/** A mailbox that a suite opens, new and empty. @public */
export interface OpenedMailbox extends Opened {
  readonly mailbox: Mailbox
  /** What another node has of it; default the same. */
  readonly others?: Mailbox
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
    async 'tells every listener of each message once, in the order of sending'({
      mailbox,
      others = mailbox,
    }) {
      const told = new Told<string>()
      const otherTold = new Told<string>()
      await mailbox.send(messageOf('run', 'before'))
      mailbox.subscribe((message) => told.add(shown(message)))
      others.subscribe(({ id }) => otherTold.add(id))
      // What was asked before is done: a listener may be told from a moment after the call on.
      await Promise.all([mailbox.pending('run'), others.pending('run')])
      const messages = [messageOf('run', 'z'), messageOf('other', 'a'), messageOf('run', 'b')]
      for (const message of messages) await mailbox.send(message)
      await mailbox.send(messageOf('run', 'z', 'again'))
      await mailbox.confirm('run', 'z')
      await mailbox.send(messageOf('run', 'last'))
      assert.deepEqual(await told.atLeast(4), [...messages, messageOf('run', 'last')].map(shown))
      assert.deepEqual(await otherTold.atLeast(4), ['z', 'a', 'b', 'last'])
    },
    async 'tells a listener that names itself of what is for it, and of what is for nobody in particular'({
      mailbox,
      others = mailbox,
    }) {
      const told = { a: new Told<string>(), b: new Told<string>(), all: new Told<string>() }
      mailbox.subscribe(({ id }) => told.a.add(id), 'a')
      others.subscribe(({ id }) => told.b.add(id), "it's b.* >")
      others.subscribe(({ id }) => told.all.add(id))
      await Promise.all([mailbox.pending('run'), others.pending('run')])
      await mailbox.send({ ...messageOf('run', 'for-a'), owner: 'a' })
      await others.send({ ...messageOf('run', 'for-b'), owner: "it's b.* >" })
      await others.send({ ...messageOf('run', 'for-gone'), owner: 'gone' })
      await mailbox.send(messageOf('run', 'for-anybody'))
      const isLast = (ids: readonly string[]): boolean => ids.includes('for-anybody')
      // An adapter may tell it of the others' as well.
      assert.ok((await told.a.until(isLast)).includes('for-a'))
      assert.ok((await told.b.until(isLast)).includes('for-b'))
      assert.deepEqual(await told.all.atLeast(4), ['for-a', 'for-b', 'for-gone', 'for-anybody'])
      const ids = (await others.pending('run')).map(({ id }) => id)
      assert.deepEqual(ids, ['for-a', 'for-b', 'for-gone', 'for-anybody'])
    },
    async 'takes a message of one id once, whoever it is for'({ mailbox, others = mailbox }) {
      const told = new Told<string>()
      others.subscribe((message) => told.add(shown(message)))
      await others.pending('run')
      await mailbox.send({ ...messageOf('run', 'a', 'first'), owner: 'a' })
      await mailbox.send({ ...messageOf('run', 'a', 'again'), owner: 'b' })
      await others.send(messageOf('run', 'a', 'once more'))
      await others.send(messageOf('run', 'b'))
      const expected = [messageOf('run', 'a', 'first'), messageOf('run', 'b')]
      assert.deepEqual(await told.atLeast(2), expected.map(shown))
      await assertPending(mailbox, 'run', expected)
    },
    async 'has stored what it tells a listener of'({ mailbox, others = mailbox }) {
      const reads = new Told<Promise<readonly MailMessage[]>>()
      others.subscribe(({ flowRunId }) => reads.add(others.pending(flowRunId)))
      await others.pending('run')
      await mailbox.send(messageOf('run', 'a'))
      const [pending] = await Promise.all(await reads.atLeast(1))
      assert.deepEqual(pending?.map(shown), [shown(messageOf('run', 'a'))])
    },
    async 'tells a listener nothing after its subscription ended, and the others all the same'({ mailbox }) {
      const told = { once: 0, never: 0 }
      const always = new Told<string>()
      const endNever = mailbox.subscribe(() => told.never++)
      const endOnce = mailbox.subscribe(() => {
        told.once++
        endOnce()
      })
      mailbox.subscribe(({ id }) => always.add(id))
      endNever()
      endNever()
      await mailbox.pending('run')
      for (const id of ['a', 'b', 'c']) await mailbox.send(messageOf('run', id))
      assert.deepEqual(await always.atLeast(3), ['a', 'b', 'c'])
      assert.deepEqual(told, { once: 1, never: 0 })
    },
    async 'tells for which flow runs there are messages, where it tells that'({ mailbox, others = mailbox }) {
      if (!('addressees' in mailbox && 'addressees' in others)) {
        assert.equal('addressees' in mailbox, 'addressees' in others)
        return
      }
      assert.deepEqual(await mailbox.addressees?.(10), [])
      for (const [run, id] of [
        ['one', 'a'],
        ['two', 'a'],
        ['one', 'b'],
        ["it's three.* >", 'a'],
      ] as const)
        await mailbox.send(messageOf(run, id))
      assert.deepEqual([...((await others.addressees?.(10)) ?? [])].toSorted(), [
        "it's three.* >",
        'one',
        'two',
      ])
      const first = (await others.addressees?.(2)) ?? []
      assert.equal(first.length, 2)
      const rest = (await mailbox.addressees?.(2, first[1])) ?? []
      assert.deepEqual([...first, ...rest].toSorted(), ["it's three.* >", 'one', 'two'])
      assert.deepEqual(await others.addressees?.(2, rest[0]), [])
      await mailbox.confirm('one', 'a')
      await mailbox.clear('two')
      await mailbox.confirm("it's three.* >", 'a')
      assert.deepEqual(await others.addressees?.(10), ['one'])
      // It goes on after one that has no messages any more.
      await mailbox.clear('one')
      await mailbox.send(messageOf(rest[0] ?? '', 'c'))
      assert.deepEqual(await others.addressees?.(10, first[1]), rest)
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
