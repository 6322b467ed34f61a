/** Three million flights, read a row group at a time, summed up, and turned into a report. */
import { readFile } from 'node:fs/promises'

import { currentTaskRun, flow, task } from '@troupe/core'
import { ConcurrentTaskRunner } from '@troupe/runners'

import { type Airport, parseAirports } from './airports.ts'
import type { DataFiles } from './data-files.ts'
import { type Findings, findingsOf } from './findings.ts'
import { readRowGroup, rowGroupsOf } from './read-flights.ts'
import { saveWhole } from './save.ts'
import { type Summary, addRows, emptySummary, mergeSummaries } from './summary.ts'

const listGroups = task('list-groups', (file: string) => rowGroupsOf(file))

const readGroup = task({ name: 'read-group', retries: 1 }, async (file: string, group: number) => {
  const summary = emptySummary()
  for await (const rows of readRowGroup(file, group, currentTaskRun().signal)) addRows(summary, rows)
  return summary
})

const readAirports = task('read-airports', async (file: string) =>
  parseAirports(await readFile(file, 'utf8')),
)

const mergeGroups = task('merge-groups', (groups: Summary[]) => mergeSummaries(groups))

const joinAirports = task('join-airports', (total: Summary, airports: Map<string, Airport>) =>
  findingsOf(total, airports),
)

const writeReport = task('write-report', async (findings: Findings, states: string, path: string) => {
  // Loaded here, because the chart library is big and only this task needs it.
  const { renderReport } = await import('./report.ts')
  const { signal } = currentTaskRun()
  const html = await renderReport(findings, JSON.parse(await readFile(states, 'utf8')), signal)
  await saveWhole(path, html, signal)
  return { path, bytes: Buffer.byteLength(html) }
})

export const flights = flow(
  { name: 'flights', taskRunner: new ConcurrentTaskRunner() },
  async (files: DataFiles, path: string) => {
    const groups = await listGroups(files.flights)
    // Every call submits a task run and returns its future at once; nothing waits here.
    const parts = groups.map((group) => readGroup(files.flights, group))
    const airports = readAirports(files.airports)
    // Futures as arguments: each of these starts when what it needs is there.
    const total = mergeGroups(parts)
    const findings = joinAirports(total, airports)
    return { findings, report: writeReport(findings, files.states, path) }
  },
)
