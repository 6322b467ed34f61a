import { coreScenarios } from './core-scenarios.ts'

coreScenarios('three servers')
