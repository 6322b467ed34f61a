import type { EventEmitter } from 'node:events'
import {
  connect,
  credsAuthenticator,
  nkeyAuthenticator,
  type ConnectionOptions,
  type NatsConnection,
  type TlsOptions,
} from '@nats-io/transport-node'

/**
 * Who connects: a name with a password, a token, an nkey's seed (`SU…`), or the contents of a credentials file.
 *
 * @public
 */
export type NatsAuth =
  | { readonly user: string; readonly password: string }
  | { readonly token: string }
  | { readonly nkey: string }
  | { readonly creds: string }

/**
 * TLS of the connection; an empty object asks for TLS with the certificates that this machine trusts. Files are read, the
 * others are contents in PEM.
 *
 * @public
 */
export type NatsTls = Readonly<
  Pick<TlsOptions, 'handshakeFirst' | 'ca' | 'caFile' | 'cert' | 'certFile' | 'key' | 'keyFile'>
>

/** How to connect: plain data, so that a thread can be told. */
export interface DialOptions {
  readonly servers: readonly string[]
  readonly auth: NatsAuth | undefined
  readonly tls: NatsTls | undefined
  readonly inboxPrefix: string
  /** How long one server may take to greet. */
  readonly timeoutMs: number
}

/** What connections of Troupe have in common: they are never given up, and notice a peer that is gone within 30 s. */
const common = {
  maxReconnectAttempts: -1,
  ignoreAuthErrorAbort: true,
  reconnectTimeWait: 250,
  reconnectJitter: 100,
  reconnectJitterTLS: 100,
  pingInterval: 10_000,
  maxPingOut: 2,
  noAsyncTraces: true,
} as const satisfies ConnectionOptions

/** Connects. Rejects with the client's error where no server answers, or none takes the user. */
export function dial(options: DialOptions, name: string): Promise<NatsConnection> {
  const { servers, auth, tls, inboxPrefix, timeoutMs } = options
  return connect({
    ...common,
    servers: [...servers],
    name,
    inboxPrefix,
    timeout: timeoutMs,
    ...(tls === undefined ? undefined : { tls: { ...tls } }),
    ...authOf(auth),
  })
}

/**
 * Closes a connection.
 *
 * The client takes all listeners off a socket before it destroys it, also the one for errors. Where the server has just ended the
 * connection, and something was written since, the error of that write comes afterwards, nobody listens, and Node ends the process.
 * So one listener stays.
 */
export async function hangUp(connection: NatsConnection): Promise<void> {
  const { protocol } = connection as NatsConnection & {
    readonly protocol?: { readonly transport?: { readonly socket?: EventEmitter } }
  }
  const socket = protocol?.transport?.socket
  if (socket !== undefined) {
    const removeAll = socket.removeAllListeners.bind(socket)
    socket.removeAllListeners = (...names) => removeAll(...names).on('error', () => undefined)
  }
  await connection.close()
}

function authOf(auth: NatsAuth | undefined): ConnectionOptions {
  if (auth === undefined) return {}
  if ('user' in auth) return { user: auth.user, pass: auth.password }
  if ('token' in auth) return { token: auth.token }
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
  return {
    authenticator:
      'nkey' in auth ? nkeyAuthenticator(bytes(auth.nkey)) : credsAuthenticator(bytes(auth.creds)),
  }
}
