#!/usr/bin/env node
// Prints the path of a nats-server, and gets one first where there is none.
import { main } from '../dist/main.js'

process.exitCode = await main(process.argv.slice(2))
