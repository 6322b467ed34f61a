/**
 * A service with a flow run that a page follows. Arguments: folder of the journal, port (0 for any). Says `ready <port>` when it
 * listens; what it is told by `POST /go` goes to the flow run.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createEngine, flow, receive, task } from '@troupe/core'
import { sqliteJournal } from '@troupe/sqlite-journal'
import { sendResponse, transitionResponse } from '@troupe/web'

const [, , folder = '', port = '0', script = ''] = process.argv

const step = task('step', (n: number) => n)
const journey = flow('journey', async (legs: number) => {
  for (let leg = 1; leg <= legs; leg++) {
    await step(leg)
    await receive('go')
  }
  return 'arrived'
})

const journal = sqliteJournal(folder)
const engine = createEngine({ journal, recover: true, node: 'service' })
const run = engine.run(journey.with({ id: 'journey-1' }), 6)

const page = (body: string): string => `<!doctype html><meta charset="utf-8"><title>journey</title>${body}`
const types = { 'content-type': 'text/html; charset=utf-8' }

const server = createServer((req, res) => {
  if (req.url === '/')
    res.writeHead(200, types).end(page(`<ol></ol><script type="module">${script}</script>`))
  else if (req.url?.startsWith('/events') === true) {
    // A heartbeat that comes before Chromium's tests end, so that comments are among what is read.
    const options = { retry: '50ms', heartbeat: '200ms' } as const
    void sendResponse(res, transitionResponse(engine.watch({ flowRunId: run.id }), req, options))
  } else if (req.method === 'POST' && req.url === '/go')
    void run.signal('go').then(() => res.writeHead(204).end())
  else res.writeHead(404).end()
})
server.listen(Number(port), '127.0.0.1', () => {
  process.stdout.write(`ready ${(server.address() as AddressInfo).port}\n`)
})
// Also where the test is killed.
process.stdin.resume().once('close', () => process.exit(1))
