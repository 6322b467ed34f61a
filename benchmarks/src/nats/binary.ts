import { execFileSync } from 'node:child_process'
import { Absent } from '../lib/absent.ts'

/** Where nats-server is. */
export function natsServerPath(): string {
  const path = process.env['NATS_SERVER']
  if (path === undefined) throw new Absent('nats-server is not installed')
  return path
}

/** Its version; undefined where there is none. */
export function natsServerVersion(): string | undefined {
  try {
    return execFileSync(natsServerPath(), ['--version'], { encoding: 'utf8' }).trim()
  } catch (error) {
    if (error instanceof Absent) return undefined
    throw error
  }
}
