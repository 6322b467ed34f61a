import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { NatsServerError } from './errors.ts'
import { findServer } from './find.ts'
import type { ServerVersion } from './find.ts'
import { ask, until } from './monitoring.ts'
import { freePorts } from './ports.ts'

/** How a server is started. */
export interface ServerOptions {
  /** Default `any`. */
  readonly version?: ServerVersion
  /** A text of configuration. Address, ports and JetStream stand on the command line, so they need not be in it. */
  readonly config?: string
  /** A file of configuration, instead of a text. */
  readonly configFile?: string
  /** Default true. `'configured'` where the configuration has a `jetstream` block; a relative folder is then in `folder`. */
  readonly jetstream?: boolean | 'configured'
  /** The port for clients. Default: one that is free. */
  readonly port?: number
  /** More of the environment. */
  readonly env?: Readonly<Record<string, string>>
  /** More arguments of the command line. */
  readonly args?: readonly string[]
  /** Out of reach of the Ctrl-C of a terminal, for a program that ends its own parts before the server. Default false. */
  readonly apart?: boolean
}

/** A nats-server of ours: a process, its ports and its folder, which outlive the process until `stop`. */
export interface NatsServer {
  /** Where clients connect. With TLS configured it is the same: clients upgrade. */
  readonly url: string
  readonly port: number
  readonly monitorUrl: string
  /** The process that runs, or that ran last. */
  readonly pid: number
  readonly running: boolean
  /** Resolves when the process that was started last has ended, whoever ended it. */
  readonly ended: Promise<void>
  /** Where the server works; removed by `stop`. */
  readonly folder: string
  /** JetStream's folder, where the configuration names no other. */
  readonly storeDir: string
  /** All that the server logged, of all its processes. */
  readonly log: string
  /**
   * Sends a signal. For one that ends the process (SIGKILL, SIGTERM, SIGINT) it waits for the end.
   *
   * @param signal - Default `SIGKILL`.
   */
  kill(signal?: NodeJS.Signals): Promise<void>
  /** Starts the process anew on the same ports and folder, after SIGTERM where it still runs. */
  restart(): Promise<void>
  /** Waits until `/healthz` says ok: JetStream is there, and in a cluster has caught up. */
  healthy(): Promise<void>
  /** Ends the process and removes the folder. */
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const ending: ReadonlySet<NodeJS.Signals> = new Set<NodeJS.Signals>([
  'SIGKILL',
  'SIGTERM',
  'SIGINT',
  'SIGQUIT',
])

/** What has to end with this process, whatever happens. */
const alive = new Set<Server>()
let watchesExit = false

/**
 * Starts a nats-server on 127.0.0.1 and waits until it is ready. It ends with this process, at the latest.
 *
 * @throws {@link NatsServerError} Where there is no binary, or the server doesn't start; with its log.
 */
export async function startServer(options: ServerOptions = {}): Promise<NatsServer> {
  const binary = await findServer(options.version)
  for (let attempt = 1; ; attempt++) {
    const [client = 0, monitor = 0] = await freePorts(2)
    const server = new Server(binary, options, { client: options.port ?? client, monitor })
    try {
      await server.start()
      return server
    } catch (error) {
      await server.stop()
      if (!lostPort(server) || attempt === 5 || options.port !== undefined) throw error
    }
  }
}

/** Whether the server couldn't start because somebody else took a port between our look and its start. */
export function lostPort(server: NatsServer): boolean {
  return server.log.includes('address already in use')
}

/** One server. Only for this package: its users have {@link startServer}. */
export class Server implements NatsServer {
  readonly port: number
  readonly url: string
  readonly monitorUrl: string
  readonly folder: string
  readonly storeDir: string
  readonly #binary: string
  readonly #args: readonly string[]
  readonly #env: NodeJS.ProcessEnv
  readonly #apart: boolean
  #child: ChildProcess | undefined
  #ended = Promise.resolve()
  #log = ''

  constructor(binary: string, options: ServerOptions, ports: { client: number; monitor: number }) {
    this.#binary = binary
    this.#apart = options.apart ?? false
    this.port = ports.client
    this.url = `nats://127.0.0.1:${ports.client}`
    this.monitorUrl = `http://127.0.0.1:${ports.monitor}`
    this.folder = mkdtempSync(join(tmpdir(), 'troupe-nats-'))
    this.storeDir = join(this.folder, 'store')

    this.#env = { ...process.env, ...options.env }
    let { configFile } = options
    if (options.config !== undefined) {
      configFile = join(this.folder, 'nats.conf')
      writeFileSync(configFile, options.config)
    }
    this.#args = [
      ...(configFile === undefined ? [] : ['--config', configFile]),
      '--addr',
      '127.0.0.1',
      '--port',
      String(ports.client),
      '--http_port',
      String(ports.monitor),
      ...((options.jetstream ?? true) === true ? ['--jetstream', '--store_dir', this.storeDir] : []),
      ...(options.args ?? []),
    ]
  }

  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new NatsServerError('The server was never started.')
    return pid
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null
  }

  get ended(): Promise<void> {
    return this.#ended
  }

  get log(): string {
    return this.#log
  }

  async start(): Promise<void> {
    const begin = this.#log.length
    const child = spawn(this.#binary, this.#args, {
      cwd: this.folder,
      env: this.#env,
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: this.#apart,
    })
    this.#child = child
    this.#ended = new Promise((resolve) => void child.once('exit', () => resolve()))
    if (child.pid !== undefined) watch(child, child.pid, this.folder, this.#apart)
    alive.add(this)
    endWithThisProcess()
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string) => {
        clearTimeout(limit)
        reject(new NatsServerError(`nats-server ${this.#args.join(' ')}\n${why}:\n${this.#log.slice(begin)}`))
      }
      const limit = setTimeout(() => fail('was not ready within 30 s'), 30_000)
      child.once('error', (error) => fail(error.message))
      child.once('close', (code, signal) => fail(`ended (${code ?? signal}) before it was ready`))
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        this.#log += text
        if (!this.#log.includes('Server is ready', begin)) return
        clearTimeout(limit)
        resolve()
      })
    })
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (child === undefined || !this.running) return
    if (!ending.has(signal)) {
      child.kill(signal)
      return
    }
    const ended = once(child, 'exit')
    child.kill(signal)
    // One that was stopped takes a signal only when it goes on.
    if (signal !== 'SIGKILL') child.kill('SIGCONT')
    await ended
  }

  async restart(): Promise<void> {
    await this.kill('SIGTERM')
    await this.start()
  }

  async healthy(): Promise<void> {
    await until(`${this.monitorUrl}/healthz says ok`, async () => {
      const health = await ask(this.monitorUrl, '/healthz')
      return isOk(health) ? true : undefined
    })
  }

  async stop(): Promise<void> {
    await this.kill('SIGTERM')
    this.#remove()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** For the end of this process, where nothing can be waited for. */
  stopNow(): void {
    if (this.running) this.#child?.kill('SIGKILL')
    this.#remove()
  }

  #remove(): void {
    alive.delete(this)
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 3 })
  }
}

function endWithThisProcess(): void {
  if (watchesExit) return
  watchesExit = true
  process.once('exit', () => {
    for (const server of alive) server.stopNow()
  })
}

/**
 * Ends the server also where this process is killed, and can't do it: a shell waits for the end of this process, which closes
 * its input, or for a line that says that the server has ended.
 */
function watch(server: ChildProcess, pid: number, folder: string, apart: boolean): void {
  // A Ctrl-C of a terminal is for all of its processes: this one outlives the others, to clear up.
  const script = 'trap "" INT TERM HUP; read -r line || { kill -9 "$1"; rm -rf "$2"; }'
  const shell = spawn('sh', ['-c', script, 'sh', String(pid), folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: apart,
  })
  // A machine without a shell has to do without.
  shell.once('error', () => undefined)
  shell.stdin.on('error', () => undefined)
  server.once('exit', () => shell.stdin.end('ended\n'))
  shell.unref()
  if ('unref' in shell.stdin && typeof shell.stdin.unref === 'function') shell.stdin.unref()
}

function isOk(health: unknown): boolean {
  return typeof health === 'object' && health !== null && 'status' in health && health.status === 'ok'
}
