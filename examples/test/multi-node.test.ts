/** The worker of the example, as one runs it: a child process on the built files. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import { startServer } from '@troupe/nats-server'
import { describe, expect, it } from 'vitest'

const program = fileURLToPath(new URL('../dist/multi-node/worker.js', import.meta.url))

function start(address: string): {
  child: ChildProcess
  output: () => string
  says: (text: string) => Promise<void>
} {
  const child = spawn(process.execPath, [program, address], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const listeners = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (data: Buffer) => {
      output += String(data)
      for (const listener of listeners) listener()
    })
  const says = (text: string): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!output.includes(text)) return
        listeners.delete(look)
        resolve()
      }
      listeners.add(look)
      look()
    })
  return { child, output: () => output, says }
}

describe('the worker in ten lines', () => {
  it('says when it is there, and ends at SIGTERM', async () => {
    const server = await startServer()
    try {
      const { child, says, output } = start(server.url)
      await says('takes task runs from the queue flights')
      child.kill('SIGTERM')
      expect(await once(child, 'exit')).toEqual([null, 'SIGTERM'])
      expect(output().trim().split('\n')).toHaveLength(1)
    } finally {
      await server.stop()
    }
  }, 180_000)

  it('says what is missing where there is no server', async () => {
    const { child, output } = start('127.0.0.1:1')
    expect((await once(child, 'exit'))[0]).toBe(1)
    expect(output()).toContain(
      "can't connect to a NATS server at 127.0.0.1:1 (connection refused); start one with",
    )
  }, 60_000)
})
