import { createServer } from 'node:net'

/**
 * Below the ports that systems give to outgoing connections: one of those may take the port of a server that is down for a
 * moment, and a client that dials it may even reach itself.
 */
const lowest = 10_000
const highest = 15_999

/** Ports of 127.0.0.1 that nobody listens on. Another process may still take one first, which a caller has to expect. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest + 1))
    if (!ports.has(port) && (await isFree(port))) ports.add(port)
  }
  return [...ports]
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
