/** A server with the roles that the package comes with, and connections that tell what was refused to them. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connect, nkeyAuthenticator, nkeys, PermissionViolationError } from '@nats-io/transport-node'
import type { NatsConnection } from '@nats-io/transport-node'
import { startServer } from '../servers/index.ts'
import type { NatsServer, ServerVersion } from '../servers/index.ts'
import { makeCertificates } from './certificates.ts'
import type { Permissions } from './jwt.ts'

export const roles = ['owner', 'worker', 'client', 'watcher'] as const
export type Role = (typeof roles)[number]

const shipped = fileURLToPath(new URL('../../config/', import.meta.url))

/** A copy of the shipped configurations, which a test changes as a user would. */
export class Configuration {
  readonly folder = mkdtempSync(join(tmpdir(), 'troupe-security-'))

  constructor() {
    cpSync(shipped, this.folder, { recursive: true })
  }

  /** Takes the `# ` from lines, from one that begins with `from` to the first one that is `to`. */
  switchOn(file: string, from: string, to = from): void {
    const lines = this.read(file).split('\n')
    const first = lines.findIndex((line) => line.startsWith(`# ${from}`))
    const last = lines.findIndex((line, index) => index >= first && line.startsWith(`# ${to}`))
    if (first === -1 || last === -1) throw new Error(`${file} has no lines from ${from} to ${to}`)
    const on = lines.map((line, index) => (index >= first && index <= last ? line.slice(2) : line))
    this.write(file, on.join('\n'))
  }

  read(file: string): string {
    return readFileSync(join(this.folder, file), 'utf8')
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.folder, file), text)
  }

  path(file: string): string {
    return join(this.folder, file)
  }

  /** Switches TLS on, with an authority of our own. @returns Its certificate as PEM. */
  async useTls(): Promise<string> {
    const ca = await makeCertificates(this.folder)
    this.switchOn('nats.conf', 'tls {', '}')
    this.write('nats.conf', this.read('nats.conf').replaceAll('"certs/', `"${this.folder}/certs/`))
    return ca
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** The lists of a role's file. */
export function permissionsOf(configuration: Configuration, role: Role): Permissions {
  const [publish = '', subscribe = ''] = configuration.read(`role-${role}.conf`).split(/^subscribe:/m)
  const subjects = (text: string) => [...text.matchAll(/^\s+"(.*)"$/gm)].map(([, subject = '']) => subject)
  return { publish: subjects(publish), subscribe: subjects(subscribe) }
}

/** A server with `roles.conf`, and who connects as each of its roles. */
export class Secured {
  readonly server: NatsServer
  readonly #seeds: ReadonlyMap<string, Uint8Array>
  readonly #members: Member[] = []

  private constructor(server: NatsServer, seeds: ReadonlyMap<string, Uint8Array>) {
    this.server = server
    this.#seeds = seeds
  }

  /**
   * Starts `nats.conf` with `roles.conf` switched on.
   *
   * @param names - What keys are for: for each, the server gets the variable `TROUPE_<NAME>`.
   */
  static async start(
    version: ServerVersion,
    configuration: Configuration,
    names: readonly string[] = roles,
  ): Promise<Secured> {
    const pairs = names.map((name) => [name, nkeys.createUser()] as const)
    const variables = pairs.map(([name, pair]) => [variableOf(name), pair.getPublicKey()] as const)
    const server = await startServer({
      version,
      configFile: configuration.path('nats.conf'),
      jetstream: 'configured',
      env: Object.fromEntries(variables),
    })
    return new Secured(server, new Map(pairs.map(([name, pair]) => [name, pair.getSeed()])))
  }

  /** The seed of a key, as a program is given it. */
  seed(name: string): string {
    return new TextDecoder().decode(this.#seeds.get(name))
  }

  /** Connects as a role. */
  async join(name: string, inboxPrefix = `_INBOX_${name}`): Promise<Member> {
    const connection = await connect({
      servers: this.server.url,
      authenticator: nkeyAuthenticator(this.#seeds.get(name)),
      inboxPrefix,
    })
    const member = new Member(connection)
    this.#members.push(member)
    return member
  }

  async stop(): Promise<void> {
    await Promise.all(this.#members.map(({ connection }) => connection.close()))
    await this.server.stop()
  }
}

function variableOf(name: string): string {
  return `TROUPE_${name.toUpperCase()}`
}

/** A connection, and what was refused to it. */
export class Member {
  readonly connection: NatsConnection
  readonly #refusals: string[] = []

  constructor(connection: NatsConnection) {
    this.connection = connection
    void this.#listen()
  }

  /** What was refused since this was asked last: `publish a.b`, `subscribe a.>`. */
  async refusals(): Promise<string[]> {
    // A refusal is on the way before the answer to the flush. Its listener gets it in a later turn.
    await this.connection.flush()
    await turn()
    return this.#refusals.splice(0)
  }

  async #listen(): Promise<void> {
    for await (const status of this.connection.status()) {
      if (status.type !== 'error') continue
      const { error } = status
      const isRefusal = error instanceof PermissionViolationError
      this.#refusals.push(isRefusal ? `${error.operation} ${error.subject}` : String(error))
    }
  }
}
