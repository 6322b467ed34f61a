/**
 * The quickstart's flow on three nodes, one of which is killed half-way: `node dist/multi-node/main.js`. Starts a nats-server and
 * the nodes itself, and ends them.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { type Engine, type Transition, createEngine } from '@troupe/core'
import { startServer } from '@troupe/nats-server'
import { natsTransport } from '@troupe/nats-transport'
import paint from 'picocolors'

import { closingLines } from '../quickstart/closing.ts'
import { dataFiles } from '../quickstart/data-files.ts'
import { emptyBoard, follow, taskTimes } from '../quickstart/progress-board.ts'
import type { Findings } from '../quickstart/findings.ts'

const names = ['one', 'two', 'three'] as const
/** So many row groups are read before a node is killed. */
const killedAfter = 5

const say = (line: string): void => void process.stdout.write(`${line}\n`)

function startNode(name: string, servers: string): ChildProcess {
  const program = fileURLToPath(new URL('node.js', import.meta.url))
  return spawn(process.execPath, [program, name, servers], { stdio: ['ignore', 'inherit', 'inherit'] })
}

async function main(out: string): Promise<void> {
  say('starting a nats-server and three nodes …')
  const server = await startServer()
  const nodes = new Map(names.map((name) => [name as string, startNode(name, server.url)]))
  const client = createEngine({
    node: 'client',
    transport: natsTransport({ servers: server.url, namespace: 'flights' }),
  })
  const end = async (): Promise<void> => {
    await client.close()
    for (const node of nodes.values()) node.kill('SIGKILL')
    await server.stop()
  }
  process.once('SIGINT', () => void end().finally(() => process.exit(130)))
  try {
    await report(client, out, (name) => nodes.get(name)?.kill('SIGKILL'))
  } finally {
    await end()
  }
}

async function report(client: Engine, out: string, kill: (node: string) => void): Promise<void> {
  // By name: this process need not have the flow's code.
  const run = await client.run('flights', dataFiles(), out)
  const board = emptyBoard()
  let owner = ''
  let groups = 0
  for await (const transition of client.watch({ flowRunId: run.id })) {
    follow(board, transition)
    tell(transition)
    const { kind, task, node, to } = transition
    if (kind === 'flow' && to.name === 'Running') owner = node
    if (task !== 'read-group' || to.name !== 'Completed' || ++groups !== killedAfter) continue
    say(paint.red(`node ${owner}, which owns the flow run, is killed`))
    kill(owner)
  }
  const { findings, report: written } = (await run.result()) as {
    findings: Findings
    report: { path: string; bytes: number }
  }
  // A pipe has no columns, and a terminal that does not know its size has 0.
  const { columns }: { columns?: number } = process.stdout
  const width = columns || 80
  say(closingLines({ findings, report: written, times: taskTimes(board), note: '', width }))
}

/** Who runs what. */
function tell({ kind, runName, node, host, to, attempt }: Transition): void {
  if (kind === 'flow' && to.name === 'Running')
    say(
      paint.bold(
        `node ${node} owns the flow run${attempt > 1 ? `, and goes on with it (attempt ${attempt})` : ''}`,
      ),
    )
  if (kind === 'task' && to.name === 'Completed')
    say(`${runName} ran on node ${host ?? node}${attempt > 1 ? ` (attempt ${attempt})` : ''}`)
}

await main(process.argv[2] ?? 'flights.html')
