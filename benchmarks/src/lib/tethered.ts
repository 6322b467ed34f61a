import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** A program that runs beside a measurement. */
export interface Tethered {
  readonly pid: number
  readonly stop: () => Promise<void>
}

/** What is started, and how. */
export interface TetheredOptions {
  /** Its own folder, where its output goes as `log`; removed when it has ended. */
  readonly folder: string
  readonly command: readonly string[]
  /** With which it ends at once and leaves nothing behind. */
  readonly signal: 'KILL' | 'QUIT'
  /** Whether the signal is for all that it has started, too, where there is `setsid`. Default false. */
  readonly group?: boolean
  readonly as?: { readonly uid?: number; readonly gid?: number }
  readonly env?: NodeJS.ProcessEnv
}

/** The program lives as long as the shell's input is open: also a killed benchmark leaves nothing behind. */
const script = `
trap '' INT TERM HUP
folder=$1; signal=$2; group=$3; shift 3
if [ -n "$group" ] && command -v setsid >/dev/null; then set -- setsid "$@"; else group=; fi
"$@" >"$folder/log" 2>&1 </dev/null &
echo $!
exec >/dev/null 2>&1
read -r line
kill -$signal $group$!
wait $!
rm -rf "$folder"
`

/** Starts a program that ends with this process, however this one ends. */
export async function startTethered(options: TetheredOptions): Promise<Tethered> {
  const { folder, command, signal, as = {}, env = process.env, group = false } = options
  // A session of its own is also a process group of its own; `-` before its id names that.
  const shell = spawn('sh', ['-c', script, 'sh', folder, signal, group ? '-' : '', ...command], {
    ...as,
    cwd: folder,
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(shell, 'exit')
  const [line] = (await once(createInterface(shell.stdout), 'line')) as [string]
  const stop = async (): Promise<void> => {
    shell.stdin.end()
    await ended
  }
  return { pid: Number(line), stop }
}
