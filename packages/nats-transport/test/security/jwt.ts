import { nkeys } from '@nats-io/transport-node'

/** Lists of subjects as a role's file has them. */
export interface Permissions {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

/** A server's configuration in operator mode with one account, and the credentials file of a user of it. */
export interface Operated {
  readonly config: string
  readonly creds: string
}

/** What `nsc` makes: an operator, an account with JetStream and a user, each a token signed by the one before. */
export function operate(permissions: Permissions): Operated {
  const operator = nkeys.createOperator()
  const system = nkeys.createAccount()
  const account = nkeys.createAccount()
  const user = nkeys.createUser()
  const [operatorId, systemId, accountId, userId] = [operator, system, account, user].map((pair) =>
    pair.getPublicKey(),
  )
  const systemToken = sign(operator, systemId, { type: 'account', version: 2 })
  const operatorToken = sign(operator, operatorId, { type: 'operator', version: 2 })
  const unlimited = { subs: -1, data: -1, payload: -1 }
  const accountToken = sign(operator, accountId, {
    type: 'account',
    version: 2,
    limits: {
      ...unlimited,
      imports: -1,
      exports: -1,
      wildcards: true,
      conn: -1,
      leaf: -1,
      mem_storage: -1,
      disk_storage: -1,
      streams: -1,
      consumer: -1,
    },
  })
  const userToken = sign(account, userId, {
    type: 'user',
    version: 2,
    ...unlimited,
    pub: { allow: permissions.publish },
    sub: { allow: permissions.subscribe },
    resp: { max: 1, ttl: 60_000_000_000 },
  })
  const seed = new TextDecoder().decode(user.getSeed())
  return {
    config: [
      `operator: "${operatorToken}"`,
      `system_account: ${systemId}`,
      'resolver: MEMORY',
      `resolver_preload: { ${systemId}: "${systemToken}", ${accountId}: "${accountToken}" }`,
    ].join('\n'),
    creds: [
      '-----BEGIN NATS USER JWT-----',
      userToken,
      '------END NATS USER JWT------',
      '',
      '-----BEGIN USER NKEY SEED-----',
      seed,
      '------END USER NKEY SEED------',
      '',
    ].join('\n'),
  }
}

type Pair = ReturnType<typeof nkeys.createUser>

function sign(issuer: Pair, subject: string | undefined, nats: object): string {
  const claims = {
    jti: subject,
    iat: 1_700_000_000,
    iss: issuer.getPublicKey(),
    name: 'test',
    sub: subject,
    nats,
  }
  const header = { typ: 'JWT', alg: 'ed25519-nkey' }
  const text = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.')
  return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString('base64url')}`
}
