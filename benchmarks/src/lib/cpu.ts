import { readFileSync } from 'node:fs'

const ticksPerSecond = 100
const pageBytes = 4096

/** CPU time that another process has used, in milliseconds; NaN where there is no /proc. */
export function cpuMsOf(pid: number): number {
  const fields = statOf(pid)
  // After the name, which may hold blanks: utime and stime are the 14th and the 15th field of all.
  return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1e3
}

/** CPU time of the thread that a process began with, which has its event loop, in milliseconds; NaN where there is no /proc. */
export function loopCpuMsOf(pid: number): number {
  const fields = statOf(`${pid}/task/${pid}`)
  return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1e3
}

/** Memory of another process that is in use, in bytes; NaN where there is no /proc. */
export const residentBytesOf = (pid: number): number => Number(statOf(pid)[21]) * pageBytes

function statOf(process: string | number): readonly string[] {
  try {
    const text = readFileSync(`/proc/${process}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return []
  }
}
