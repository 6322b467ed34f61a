/** Says which orders of the order service are not at their end, and where each of them stands. */
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import type { Page } from '@troupe/chromium'
import { createEngine, type Transition } from '@troupe/core'
import { natsTransport } from '@troupe/nats-transport'

/** What the page asked for and got no answer to yet. */
export function unanswered(page: Page): () => readonly string[] {
  const asked = new Map<unknown, string>()
  page.on('request', (request) => {
    const since = new Date().toISOString().slice(11, 23)
    asked.set(request, `${since} ${request.method()} ${request.url()} ${request.postData() ?? ''}`)
  })
  page.on('requestfinished', (request) => asked.delete(request))
  page.on('requestfailed', (request) => asked.delete(request))
  return () => [...asked.values()]
}

/** One line for each, by what was asked. A server that is not there is waited for a while, and no longer. */
export async function whereOrdersStand(asked: {
  readonly page: Page
  readonly requests: () => readonly string[]
  readonly servers: string
  readonly output: string
}): Promise<string> {
  const { page, requests, servers, output } = asked
  const sections: [title: string, lines: () => Promise<readonly string[]> | readonly string[]][] = [
    ['cards that are at no end', () => page.evaluate<string[]>(openCards)],
    ['parts', () => page.evaluate<string[]>(parts)],
    ['requests of the page without an answer', requests],
    ['the intake, and the orders in its stream', () => intake(servers)],
    ['orders whose flow run is at no end: the last transition of each run', () => openRuns(servers)],
    ['the command said', () => [output]],
  ]
  const said = await Promise.all(
    sections.map(async ([title, lines]) => {
      const late = new Promise<string[]>((resolve) => setTimeout(resolve, 20_000, ['no answer in 20 s']))
      const found = await Promise.race([Promise.resolve().then(lines), late]).catch((error) => [
        String(error),
      ])
      return [`-- ${title} (${found.length})`, ...found].join('\n')
    }),
  )
  return said.join('\n')
}

const openCards = `[...document.querySelectorAll('.card')]
  .map((card) => [card.closest('section').dataset.column, card.innerText.replace(/\\s+/g, ' ')])
  .filter(([column]) => !['notified', 'refunded', 'failed'].includes(column)).map((words) => words.join(': '))`

const parts = `[document.querySelector('#connection').textContent, ...[...document.querySelectorAll('[data-part]')]
  .map(({ className, dataset: { part, starts } }) => part + ' ' + className + ' start ' + starts)]`

/** What was placed, and what of it the intake has not taken yet. */
async function intake(servers: string): Promise<string[]> {
  const nc = await connect({ servers })
  try {
    const { num_pending, num_ack_pending, num_redelivered } = await (
      await jetstreamManager(nc)
    ).consumers.info('ORDERS', 'accept')
    const placed = await jetstream(nc).consumers.get('ORDERS', { filter_subjects: 'orders.placed' })
    const ids = new Set<string>()
    for await (const message of await placed.fetch({ max_messages: 100, expires: 2_000 }))
      ids.add(message.json<{ id: string }>().id)
    return [JSON.stringify({ num_pending, num_ack_pending, num_redelivered }), [...ids].join(' ')]
  } finally {
    await nc.close()
  }
}

const terminal: ReadonlySet<string> = new Set(['COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED'])

/** What stands in the journals, by a watch of all of them, which ends when its engine is closed. */
async function openRuns(servers: string): Promise<string[]> {
  const transport = natsTransport({ servers, namespace: 'shop' })
  const engine = createEngine({ node: `diagnosis-${process.pid}`, transport })
  setTimeout(() => void engine.close(), 10_000)
  const runs = new Map<string, Transition>()
  for await (const transition of engine.watch({ tag: 'order' })) runs.set(transition.runId, transition)
  const isAtEnd = ({ flow, task, to }: Transition): boolean =>
    flow === 'accept' && task === undefined && terminal.has(to.type)
  const ofOrders = [...runs.values()]
  const done = new Set(ofOrders.filter(isAtEnd).map(({ runName }) => runName))
  return ofOrders
    .filter(({ runName }) => !done.has(runName))
    .map(
      ({ runName, flow, task, to, attempt, node, at, position, runId }) =>
        `${runName}: ${new Date(at).toISOString().slice(11, 23)} ${task ?? flow} ${to.name} (attempt ${attempt}, ` +
        `${node}, position ${position}, ${runId}) ${to.message ?? ''}`,
    )
}
