/** TLS as the shipped configurations have it ready, with an authority of our own. */
import { connect } from '@nats-io/transport-node'
import type { NatsConnection, TlsOptions } from '@nats-io/transport-node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { natsTransport } from '../../src/index.ts'
import { startServer, versions } from '../servers/index.ts'
import type { NatsServer } from '../servers/index.ts'
import { hostOf } from '../support.ts'
import { Configuration } from './support.ts'

let configuration: Configuration
let server: NatsServer | undefined
let connection: NatsConnection | undefined
let ca = ''

beforeEach(async () => {
  configuration = new Configuration()
  ca = await configuration.useTls()
})

afterEach(async () => {
  await connection?.close()
  await server?.stop()
  configuration.remove()
})

describe.each(versions)('on the %s server', { timeout: 180_000 }, (version) => {
  async function dial(tls?: TlsOptions): Promise<NatsConnection> {
    server = await startServer({
      version,
      configFile: configuration.path('nats.conf'),
      jetstream: 'configured',
    })
    connection = await connect({
      servers: server.url,
      reconnect: false,
      ...(tls === undefined ? {} : { tls }),
    })
    return connection
  }

  it('who has the authority’s certificate talks to the server', async () => {
    const nc = await dial({ ca })
    expect(nc.info?.tls_required).toBe(true)
    expect((await nc.request('$JS.API.INFO')).json()).not.toHaveProperty('error')
  })

  it('who has it not, or has none at all, is told that the certificate can’t be verified', async () => {
    await expect(dial({})).rejects.toThrow(
      /unable to verify the first certificate|UNABLE_TO_VERIFY_LEAF_SIGNATURE/,
    )
    await expect(connect({ servers: server?.url ?? '', reconnect: false })).rejects.toThrow(
      /unable to verify the first certificate|UNABLE_TO_VERIFY_LEAF_SIGNATURE/,
    )
  })

  it('a node has the authority’s certificate as text or as a file, or is told what is wrong', async () => {
    const nc = await dial({ ca })
    await nc.close()
    const servers = server?.url ?? ''
    for (const tls of [{ ca }, { caFile: configuration.path('certs/ca.pem') }]) {
      const station = natsTransport({ servers, tls }).open(hostOf())
      expect(await station.nodes.list()).toEqual([])
      await station.close()
    }
    const stranger = natsTransport({ servers, connectTimeout: '2s' }).open(hostOf())
    await expect(stranger.journal.summary('none')).rejects.toMatchObject({
      code: 'TRANSPORT_UNAVAILABLE',
      message: expect.stringContaining('certificate') as string,
    })
    await stranger.close()
  })
})
