// Tries `transitionResponse` in servers that are too large for the tests, as docs/web.md says: `node scripts/try-web.mjs bun` or `… next`,
// after `pnpm run build`. Packs the packages, installs them beside the server into a folder for the time being, and takes minutes.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))

/** What all servers have: an engine whose journal counts those who listen. Next loads it once for each route. */
const shared = `
import { createEngine, flow, memoryJournal, receive, task } from '@troupe/core'
const step = task('step', (n) => n)
const steps = flow('steps', async (n) => {
  for (let i = 1; i <= n; i++) { await step(i); await receive('go') }
})
function open() {
  const journal = memoryJournal()
  const subscribe = journal.subscribe.bind(journal)
  const open = new Set()
  journal.subscribe = (...asked) => {
    const stop = subscribe(...asked)
    open.add(stop)
    return () => { open.delete(stop); stop() }
  }
  return { engine: createEngine({ journal }), open }
}
const { engine, open: listening } = (globalThis.tried ??= open())
export const watch = (flowRunId) => engine.watch({ flowRunId })
export const start = (id) => { engine.run(steps.with({ id }), 2); return new Response('ok') }
export const go = async (id) => { await (await engine.get(id)).signal('go'); return new Response('ok') }
export const count = () => new Response(String(listening.size))
`

const route = (name, body) => [
  `app/${name}/[id]/route.js`,
  `import { transitionResponse } from '@troupe/web'
import { watch, start, go, count } from '../../../shared.js'
export const dynamic = 'force-dynamic'
export const GET = async (request, { params }) => { const { id } = await params; return ${body} }
`,
]

const servers = {
  bun: {
    packages: ['bun@1.4.5'],
    files: [
      [
        'server.js',
        `import { transitionResponse } from '@troupe/web'
import { watch, start, go, count } from './shared.js'
const server = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch(request) {
  const [, what, id] = new URL(request.url).pathname.split('/')
  if (what === 'events') return transitionResponse(watch(id), request, { heartbeat: '5s' })
  return { start, go, count }[what](id)
} })
console.log('http://127.0.0.1:' + server.port + '/')
`,
      ],
    ],
    before: [],
    command: ['node_modules/.bin/bun', 'server.js'],
  },
  next: {
    packages: ['next@16.4.6', 'react@19', 'react-dom@19'],
    files: [
      route('events', 'transitionResponse(watch(id), request)'),
      ...['start', 'go', 'count'].map((name) => route(name, `${name}(id)`)),
      ['app/layout.js', 'export default ({ children }) => <html><body>{children}</body></html>\n'],
      ['app/page.js', 'export default () => <p>a page</p>\n'],
    ],
    before: ['build'],
    command: [process.execPath, 'node_modules/next/dist/bin/next', 'start', '-p', '0', '-H', '127.0.0.1'],
  },
}

const name = process.argv[2] ?? ''
const server = servers[name]
assert(server !== undefined, `name one of these servers: ${Object.keys(servers).join(', ')}`)
const folder = mkdtempSync(join(tmpdir(), 'try-web-'))
const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' }
const run = (command, args, cwd) =>
  execFileSync(command, args, { cwd, env, stdio: ['ignore', 'inherit', 'inherit'] })
let child
try {
  for (const each of ['core', 'web'])
    run('npx', ['-y', 'pnpm@12', 'pack', '--out', join(folder, `${each}.tgz`)], join(root, 'packages', each))
  for (const [path, text] of [
    ...server.files,
    ['shared.js', shared],
    ['package.json', '{ "type": "module" }\n'],
  ]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  run('npm', ['install', '--no-audit', '--no-fund', './core.tgz', './web.tgz', ...server.packages], folder)
  for (const step of server.before) run(process.execPath, ['node_modules/next/dist/bin/next', step], folder)
  const [command, ...args] = server.command
  child = spawn(command, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'inherit'] })
  await tryIt(await addressOf(child))
} finally {
  if (child?.exitCode === null) {
    const ended = once(child, 'exit')
    child.kill()
    await ended
  }
  rmSync(folder, { recursive: true, force: true })
}

async function addressOf({ stdout }) {
  let said = ''
  for await (const chunk of stdout.iterator({ destroyOnReturn: false })) {
    process.stdout.write(chunk)
    said += chunk
    const [address] = /http:\/\/127\.0\.0\.1:[1-9]\d*/.exec(said) ?? []
    if (address !== undefined && (name !== 'next' || said.includes('Ready'))) return address
  }
  throw new Error('it ended')
}

async function tryIt(base) {
  const ask = (path, options) => fetch(base + path, options)
  const count = async () => Number(await (await ask('/count/x')).text())
  const textOf = ({ body }) => body.pipeThrough(new TextDecoderStream()).getReader()

  await ask('/start/run-1')
  const stop = new AbortController()
  const response = await ask('/events/run-1', { signal: stop.signal })
  assert.equal(response.status, 200)
  assert.match(response.headers.get('content-type'), /^text\/event-stream/)
  const reader = textOf(response)
  let text = ''
  while (!/step-1.*"to":{"type":"COMPLETED"/.test(text)) text += (await reader.read()).value
  const seen = [...text.matchAll(/^id: (.*)$/gm)].map(([, id]) => id)
  console.log(`streams: ${seen.length} events of a run that goes on`)

  assert.equal(await count(), 1)
  stop.abort()
  while ((await count()) > 0) await delay(20)
  console.log('a client that goes ends its watch')

  await ask('/go/run-1')
  const again = await ask('/events/run-1', { headers: { 'last-event-id': seen.at(-1) } })
  await ask('/go/run-1')
  const rest = [...(await again.text()).matchAll(/^id: (.*)$/gm)].map(([, id]) => id)
  assert.equal(rest.at(-1), 'end')
  assert.deepEqual(
    rest.filter((id) => seen.includes(id)),
    [],
  )
  assert.equal((await ask('/events/run-1', { headers: { 'last-event-id': 'end' } })).status, 204)
  assert.equal((await ask('/events/none')).status, 404)
  console.log(`goes on after Last-Event-ID: ${rest.length} more`)

  await ask('/start/run-2')
  const idle = textOf(await ask('/events/run-2'))
  let beats = 0
  while (beats < 3) beats += (await idle.read()).value.startsWith(':') ? 1 : 0
  await idle.cancel()
  while ((await count()) > 0) await delay(20)
  console.log('is not cut while nothing happens')
}
