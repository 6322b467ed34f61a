// The page: follows the transitions of all orders, and shows each order in the column of its state.
import { follow } from '@troupe/web/client'

const columns = {
  accepted: 'reserving stock',
  paying: 'being charged',
  retrying: 'charged again soon',
  paid: 'writing a mail',
  notified: 'done',
  refunded: 'undone after payment',
  failed: 'undone, not paid',
}

const $ = (selector) => document.querySelector(selector)
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** An element with properties and children. */
function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties)
  element.append(...children)
  return element
}

// --- Orders -------------------------------------------------------------------------------------------------------

/** By name: the newest state of each step, and what the card says. */
const orders = new Map()

/** The column follows from the states of the steps, in whichever order news of them comes. */
function columnOf({ accept, pay, charge }) {
  if (accept === 'Completed') return 'notified'
  const isOver = ['Failed', 'Cancelled', 'Crashed'].includes(accept)
  if (isOver) return pay === 'Completed' ? 'refunded' : 'failed'
  if (pay === 'Completed') return 'paid'
  if (charge === 'AwaitingRetry' || charge === 'Retrying') return 'retrying'
  return pay === undefined ? 'accepted' : 'paying'
}

/** News of one flow run comes in order, but those of an order come from three, so each step is kept apart. */
function take({ order: name, step, state, message, attempt, node, at }) {
  let order = orders.get(name)
  if (order === undefined) {
    order = { name, steps: {}, messages: {}, nodes: new Set(), tries: 1, at: 0, card: cardOf(name) }
    orders.set(name, order)
  }
  order.steps[step] = state
  order.messages[step] = message
  order.nodes.add(node)
  if (step === 'charge') order.tries = attempt
  if (at >= order.at) Object.assign(order, { at, node })
  drawSoon(order)
}

/** What went wrong last, without the name of the run and what the engine says of the next attempt. */
function troubleOf({ messages: { accept, charge } }) {
  return (accept ?? charge)?.replace(/^task run .* exceeded/, 'exceeded').replace(/ \(tried again.*/, '')
}

function cardOf(name) {
  const [id, what] = name.split(' · ')
  const card = make(
    'li',
    { className: 'card' },
    make('strong', { textContent: what ?? name }),
    make('span', { className: 'node' }),
    make('p'),
  )
  card.dataset.order = id
  return card
}

const board = Object.fromEntries(
  Object.entries(columns).map(([name, hint]) => {
    const count = make('span', { className: 'count', textContent: '0' })
    const list = make('ol')
    const title = make('h2', { id: `title-${name}` }, name, count)
    const column = make(
      'section',
      { className: 'column empty' },
      title,
      make('p', { textContent: hint }),
      list,
    )
    column.dataset.column = name
    column.setAttribute('aria-labelledby', title.id)
    $('#board').append(column)
    return [name, { column, list, count }]
  }),
)

const changed = new Set()
function drawSoon(order) {
  if (changed.size === 0) requestAnimationFrame(draw)
  changed.add(order)
}

function draw() {
  for (const order of changed) {
    const { card, steps, node, tries } = order
    const [, badge, text] = card.children
    badge.textContent = badge.dataset.node = node
    const said = [tries > 1 && `${tries} tries`, order.nodes.size > 1 && 'taken over', troubleOf(order)]
    text.replaceChildren(make('code', { textContent: card.dataset.order }))
    for (const words of said) if (words) text.append(' · ', words)
    const { list } = board[columnOf(steps)]
    if (card.parentNode === list) continue
    list.prepend(card)
    if (!matchMedia('(prefers-reduced-motion: reduce)').matches)
      card.animate([{ opacity: 0, transform: 'translateY(-0.5rem)' }, {}], {
        duration: 300,
        easing: 'ease-out',
      })
  }
  changed.clear()
  for (const { column, list, count } of Object.values(board)) {
    count.textContent = list.children.length
    column.classList.toggle('empty', list.children.length === 0)
  }
}

async function followOrders() {
  // It comes again by itself, to whichever node lives, and gives each transition once.
  for await (const transition of follow('/orders/events')) take(transition)
}

// --- Placing ------------------------------------------------------------------------------------------------------

const newId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(6)), (n) => (n % 36).toString(36)).join('')

/**
 * Until it is answered: the node that gets it may be one that is just being killed. Whoever then has the connection need not close
 * it, so an answer that does not come in time counts as none.
 */
async function post(path, body) {
  for (;;) {
    const headers = { 'content-type': 'application/json' }
    const signal = AbortSignal.timeout(10_000)
    const response = await fetch(path, { method: 'POST', body, headers, signal }).catch(() => undefined)
    if (response !== undefined && response.status < 500) return
    await sleep(1000)
  }
}

/** An order that is sent twice, with its id, is one order. */
const place = (order) => post('/orders', JSON.stringify({ id: newId(), ...order }))

$('#order').addEventListener('submit', (event) => {
  event.preventDefault()
  const { quantity, ...order } = Object.fromEntries(new FormData(event.target))
  void place({ ...order, quantity: Number(quantity) })
})

$('#twenty').addEventListener('click', () => {
  for (let n = 0; n < 20; n++) {
    void place({
      item: n % 2 === 0 ? 'kite' : 'lamp',
      quantity: 1 + (n % 3),
      customer: n === 9 || n === 14 ? 'nobody@example.com' : 'ada@example.com',
      card: n === 4 || n === 17 ? 'declined' : 'good',
    })
  }
})

$('#invalid').addEventListener('click', () => {
  void place({ item: 'kite', quantity: -1, customer: 'ada@example.com', card: 'good' })
})

// --- The parts of the service -------------------------------------------------------------------------------------

/** What the last button kills. */
const allOf = (parts) => ({
  name: 'all',
  isUp: parts.every(({ isUp }) => isUp),
  starts: parts.reduce((sum, { starts }) => sum + starts, 0),
})

function drawStatus({ node, parts, refused }) {
  $('#connection').textContent = `served by node ${node}`
  document.body.classList.remove('lost')
  const byName = new Map([...$('#parts').children].map((part) => [part.dataset.part, part]))
  for (const { name, isUp, starts } of parts.length === 0 ? [] : [...parts, allOf(parts)]) {
    const part = byName.get(name) ?? partOf(name)
    part.dataset.starts = starts
    part.classList.toggle('down', !isUp)
    part.querySelector('button').disabled = !isUp
    part.querySelector('button').textContent = isUp ? 'Kill' : 'starting'
  }
  $('#refused').hidden = refused.length === 0
  $('#refused ul').replaceChildren(
    ...refused.map(({ id, why }) => make('li', {}, make('code', { textContent: id }), ` ${why}`)),
  )
}

function partOf(name) {
  const button = make('button', { type: 'button' })
  button.addEventListener('click', () => void post(`/parts/${name}/${part.dataset.starts}/kill`))
  button.setAttribute('aria-label', `kill ${name}`)
  const part = make('li', {}, make('span', { className: 'dot' }), name, button)
  part.dataset.part = name
  $('#parts').append(part)
  return part
}

async function followStatus() {
  let shown = ''
  for (;;) {
    try {
      const response = await fetch('/status', { signal: AbortSignal.timeout(3000) })
      const status = await response.text()
      if (status !== shown) drawStatus(JSON.parse(status))
      shown = status
    } catch {
      shown = ''
      $('#connection').textContent = 'connecting again …'
      document.body.classList.add('lost')
    }
    await sleep(500)
  }
}

void followOrders()
void followStatus()
