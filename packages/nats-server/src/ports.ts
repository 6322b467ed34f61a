import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'

/**
 * Below the ports that systems give to outgoing connections: one of those may take the port of a server that is down for a
 * moment, and a client that dials it may even reach itself.
 */
const lowest = 10_000
const highest = 15_999

/**
 * Ports of 127.0.0.1 that nobody listens on, and that nobody else who asks here is given while this process lives: the port
 * of a server that is down for a moment stays its own. A stranger may still take one first, which a caller has to expect.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest + 1))
    if ((await claim(port)) && (await isFree(port))) ports.add(port)
  }
  return [...ports]
}

/**
 * Takes the UDP port of the same number, which no nats-server needs, until this process ends: the system hands it back however
 * that happens, as it wouldn't a file.
 *
 * @returns False where another process holds it, or this one.
 */
function claim(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const held = createSocket('udp4')
    held.once('error', () => held.close(() => resolve(false)))
    held.bind({ port, address: '127.0.0.1', exclusive: true }, () => {
      held.unref()
      resolve(true)
    })
  })
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
