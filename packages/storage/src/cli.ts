#!/usr/bin/env node
import { runDoctor } from './doctor-command.ts'

const [command, ...rest] = process.argv.slice(2)
// A bare name is a mistake like any other.
const args = command === 'doctor' ? rest : ['--help']
void runDoctor(args, process.env, (line) => process.stdout.write(`${line}\n`)).then((code) => {
  process.exitCode = code
})
