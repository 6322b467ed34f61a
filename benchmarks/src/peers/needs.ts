import type { Group, Versions } from '../lib/benchmark.ts'
import { node24Version } from '../lib/node24.ts'
import { natsServerVersion } from '../nats/server.ts'
import { installPeers, peerVersions } from './install.ts'
import { postgresVersion } from './postgres.ts'
import { installPrefect, prefectVersions } from './prefect.ts'
import { fetchRedis, redisVersion } from './redis.ts'
import { buildTemporalServer, temporalServer } from './temporal.ts'

/** Something that is installed, or looked for, before peers are measured. */
export interface Need {
  /** Of which measurements. */
  readonly by: RegExp
  /** What that takes, for people. */
  readonly words: string
  readonly install?: () => void
  readonly versions: () => Versions | Promise<Versions>
}

/** All of them, by name. */
export const needs = {
  npm: {
    by: /^(peers\/(effect|p-queue|dbos|openworkflow|bullmq)|(start-up|install)\/peer )/,
    words: 'npm packages (fetched)',
    install: () => installPeers('common'),
    versions: () => peerVersions('common'),
  },
  'npm, temporal': {
    by: /^peers\/temporal/,
    words: 'its npm packages (fetched, 300 MB)',
    install: () => installPeers('temporal'),
    versions: () => peerVersions('temporal'),
  },
  'temporal-server': {
    by: /^peers\/temporal/,
    words: "Go 1.26.8 or newer, which builds Temporal's server, once, for ten minutes and more",
    install: buildTemporalServer,
    versions: () => ({ 'temporal-server': temporalServer }),
  },
  prefect: {
    by: /^peers\/prefect/,
    words: 'python3, Prefect (fetched, 300 MB)',
    install: installPrefect,
    versions: prefectVersions,
  },
  redis: {
    by: /^peers\/bullmq/,
    words: "redis-server, or Debian's package (fetched)",
    install: fetchRedis,
    versions: () => ({ redis: redisVersion() ?? 'none' }),
  },
  postgres: {
    by: /^peers\/(dbos|prefect-postgres)/,
    words: 'PostgreSQL (never fetched)',
    versions: () => ({ postgres: postgresVersion() ?? 'none' }),
  },
  node24: {
    by: /^peers\/openworkflow/,
    words: 'Node 24 (fetched)',
    versions: () => ({ 'node of openworkflow': node24Version() }),
  },
  natsServer: {
    by: /^(nats|trivial\/nats-)/,
    words: 'nats-server (fetched)',
    versions: async () => ({ natsServer: (await natsServerVersion()) ?? 'none' }),
  },
} as const satisfies Readonly<Record<string, Need>>

/** What the measurements of these groups need, by name. */
export function neededBy(groups: readonly Group[]): readonly (keyof typeof needs)[] {
  const measures = groups.flatMap(({ cases }) => cases.map(({ measure }) => measure))
  const names = Object.keys(needs) as (keyof typeof needs)[]
  return names.filter((name) => measures.some((measure) => needs[name].by.test(measure)))
}

/** Installs what these groups need and nothing else, and gives its versions. */
export async function prepareFor(groups: readonly Group[]): Promise<Versions> {
  const all: Need[] = neededBy(groups).map((name) => needs[name])
  for (const { install } of all) install?.()
  const versions: Record<string, string> = {}
  for (const need of all) Object.assign(versions, await need.versions())
  return versions
}
