/** The command `troupe-nats-server`, with binaries and package tools that only play their parts. */
import { execFile } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const run = promisify(execFile)
const command = fileURLToPath(new URL('../bin/troupe-nats-server.js', import.meta.url))
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'troupe-find-'))
  mkdirSync(join(folder, 'path'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

function script(path: string, text: string): string {
  const file = join(folder, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `#!/bin/sh\n${text}\n`)
  chmodSync(file, 0o755)
  return file
}

function server(path: string, version: string): string {
  return script(path, `echo 'nats-server: v${version}'`)
}

/** A machine with nothing but what the test puts on its PATH. */
function machine(env: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { TROUPE_NATS_SERVER_CACHE: join(folder, 'cache'), PATH: join(folder, 'path'), ...env }
}

async function find(version: string, env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { stdout } = await run(process.execPath, [command, version], { env: machine(env) })
  return stdout.trim()
}

describe('a nats-server is taken', () => {
  it('from the variable of its kind, then from the one for all, before any other', async () => {
    const oldest = server('some/oldest', '2.9.1')
    const all = server('some/all', '2.12.3')
    server('cache/2.9.10/nats-server', '2.9.10')
    server('cache/2.15.1/nats-server', '2.15.1')
    const env = { TROUPE_NATS_SERVER: all, TROUPE_NATS_SERVER_OLDEST: oldest }
    expect(await find('oldest', env)).toBe(oldest)
    expect(await find('newest', env)).toBe(all)
    expect(await find('any', env)).toBe(all)
  })

  it('from the cache, the newest that fits, before the PATH', async () => {
    const oldest = server('cache/2.9.10/nats-server', '2.9.10')
    server('cache/2.10.27/nats-server', '2.10.27')
    server('cache/2.12.9/nats-server', '2.12.9')
    const newest = server('cache/2.12.10/nats-server', '2.12.10')
    server('path/nats-server', '2.99.0')
    expect(await find('oldest')).toBe(oldest)
    expect(await find('newest')).toBe(newest)
    expect(await find('any')).toBe(newest)
  })

  it('from the PATH where it is of the line that was asked for', async () => {
    const found = server('path/nats-server', '2.14.0')
    expect(await find('newest')).toBe(found)
    expect(await find('any')).toBe(found)
    await expect(find('oldest')).rejects.toThrow(
      /no nats-server of the 2\.9 line[^]*TROUPE_NATS_SERVER_OLDEST=/,
    )
  })
})

it('is found in the sbin beside a bin of the PATH, where Debian installs it', async () => {
  const found = server('usr/sbin/nats-server', '2.9.10')
  expect(await find('oldest', { PATH: join(folder, 'usr/bin') })).toBe(found)
})

describe('it fails and says why', () => {
  it('where a variable names something else, also with a server on the PATH', async () => {
    server('path/nats-server', '2.14.0')
    const other = script('some/thing', 'echo hello')
    await expect(find('any', { TROUPE_NATS_SERVER: other })).rejects.toThrow(
      `TROUPE_NATS_SERVER names ${other}, which is no nats-server that runs here.`,
    )
  })

  it('where none is there and none can be fetched: with what was tried, and how to install one', async () => {
    await expect(find('newest')).rejects.toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /Debian sid: .*\n- Debian trixie: .*\n[^]*apt-get install nats-server/,
      ) as string,
    })
  })

  it('where the command is misused', async () => {
    await expect(find('2.9')).rejects.toMatchObject({ code: 2, stdout: '' })
  })
})

describe('a nats-server from a Debian package', () => {
  /** Where the tools of a machine play their parts: the mirror has the suites named, each with its version. */
  function packageTools(versions: Readonly<Record<string, string>>): void {
    const tools = ['/usr/bin', '/bin'].join(':')
    script(
      'path/apt-config',
      `echo 'Acquire::http::Proxy "http://proxy.test:3142";'; echo 'Acquire::AllowInsecureRepositories "1";'`,
    )
    const suites = Object.entries(versions).map(
      ([suite, version]) => `grep -q 'Suites: ${suite}' "$sources/debian.sources" && version=${version}`,
    )
    script(
      'path/apt-get',
      `PATH=${tools}
      if [ "$1" = indextargets ]; then
        printf 'Label: Debian\\nRepo-URI: http://mirror.test/debian/\\n\\nLabel: Other\\nRepo-URI: http://other.test/x/\\n'
        exit
      fi
      echo "$@" >> ${folder}/asked
      cat "$APT_CONFIG" > ${folder}/apt.conf
      sources=$(sed -n 's/^Dir::Etc::sourceparts "\\(.*\\)";/\\1/p' "$APT_CONFIG")
      cat "$sources/debian.sources" > ${folder}/debian.sources
      ${suites.join('\n')}
      if [ -z "$version" ]; then echo 'E: no such suite' >&2; exit 100; fi
      if [ "$1" = download ]; then echo "$version" > nats-server.deb; fi`,
    )
    script(
      'path/dpkg-deb',
      `PATH=${tools}
      mkdir -p "$3/usr/sbin"
      printf '#!/bin/sh\\necho "nats-server: v%s"\\n' "$(cat "$2")" > "$3/usr/sbin/nats-server"
      chmod +x "$3/usr/sbin/nats-server"`,
    )
  }

  it('comes from the machine’s mirror, through its proxy, and only with Debian’s signature', async () => {
    packageTools({ bookworm: '2.9.10' })
    expect(await find('oldest')).toBe(join(folder, 'cache/2.9.10/nats-server'))
    expect(readFileSync(join(folder, 'debian.sources'), 'utf8')).toMatch(
      /^URIs: http:\/\/mirror\.test\/debian\/\nSuites: bookworm\n[^]*^Signed-By: \/usr\/share\/keyrings\/debian-archive-keyring/m,
    )
    const config = readFileSync(join(folder, 'apt.conf'), 'utf8')
    expect(config).toContain('Acquire::http::Proxy "http://proxy.test:3142";')
    expect(config).not.toContain('AllowInsecure')
    expect(config).not.toContain('/var/lib/apt')
  })

  it('is fetched once: the second time the cache has it', async () => {
    packageTools({ sid: '2.15.1', trixie: '2.10.27' })
    const first = await find('newest')
    const asked = readFileSync(join(folder, 'asked'), 'utf8')
    expect(await find('newest')).toBe(first)
    expect(readFileSync(join(folder, 'asked'), 'utf8')).toBe(asked)
  })

  it('is whole for each of many processes that fetch it at once, and leaves nothing else behind', async () => {
    packageTools({ bookworm: '2.9.10' })
    const all = await Promise.all(Array.from({ length: 6 }, () => find('oldest')))
    expect(new Set(all)).toEqual(new Set([join(folder, 'cache/2.9.10/nats-server')]))
    expect(readdirSync(join(folder, 'cache'))).toEqual(['2.9.10'])
    expect(existsSync(all[0] ?? '')).toBe(true)
  })

  it('is an older one where the suite with the newest has none, with a warning', async () => {
    packageTools({ trixie: '2.10.27' })
    const { stdout, stderr } = await run(process.execPath, [command, 'newest'], { env: machine({}) })
    expect(stdout.trim()).toBe(join(folder, 'cache/2.10.27/nats-server'))
    expect(stderr).toMatch(/2\.10\.27\/nats-server stands in for a newer one\.\nDebian sid: .*no such suite/)
  })
})
