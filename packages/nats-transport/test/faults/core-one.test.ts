import { coreScenarios } from './core-scenarios.ts'

coreScenarios('one server')
