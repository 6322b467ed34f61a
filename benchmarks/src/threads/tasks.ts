import { task, transfer } from '@troupe/core'
import { work } from './work.ts'

export const bodies = {
  compute: task('compute', work.compute),
  computeLong: task('compute-long', work.computeLong),
  small: task('small', work.small),
}
export const touchMoved = task('touch-moved', (buffer: ArrayBuffer) => transfer(work.touch(buffer)))
export const touchCopied = task('touch-copied', work.touch)
