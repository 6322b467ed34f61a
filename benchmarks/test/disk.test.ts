import { describe, expect, it } from 'vitest'
import { described, fileSystemOf, temporaryDisk } from '../src/lib/disk.ts'

const mounts = [
  'overlay / overlay rw,relatime 0 0',
  'tmpfs /tmp tmpfs rw 0 0',
  '/dev/sdb1 /tmp/a\\040disk ext4 rw 0 0',
  '/dev/sdc1 /data xfs rw 0 0',
  'tmpfs /data tmpfs rw 0 0',
  '',
].join('\n')

describe('the disk of a folder', () => {
  it.each([
    ['/home/me', 'overlay'],
    ['/tmp', 'tmpfs'],
    ['/tmp/x', 'tmpfs'],
    ['/tmpx', 'overlay'],
    ['/tmp/a disk/x', 'ext4'],
    ['/data/x', 'tmpfs'],
  ])('is what is mounted closest to it, and last: %s on %s', (folder, type) => {
    expect(fileSystemOf(folder, mounts)).toBe(type)
  })

  it('is not known where the list has no place that it is in', () => {
    expect(fileSystemOf('/home', '')).toBeUndefined()
  })

  it('is said to be none where it is in memory', () => {
    expect(described('tmpfs')).toContain('IN MEMORY')
    expect(described('ext4')).toBe('ext4')
  })

  it('is known here', () => {
    expect(temporaryDisk()).toMatch(/\w/)
  })
})
