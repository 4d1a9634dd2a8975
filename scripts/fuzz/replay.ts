/** Programs that were kept: run again, or, where what the kernel showed was kept with them, only compared again. */
import { readFileSync } from 'node:fs';

import { difference, kindOf, sideBySide } from '../../test/fuzz/compare.js';
import { checkProgram, type Log, type Program } from '../../test/fuzz/program.js';
import type { Machine } from '../../test/fuzz/protocol.js';
import { Simulation } from '../../test/fuzz/simulate.js';
import { stepText } from '../../test/fuzz/typescript.js';
import type { Progress } from '../provision/tools.js';
import { UsageError } from '../usage-error.js';
import { Guest } from './guest.js';
import type { Report } from './report.js';

/** A line of a recording; the first one tells of which machine it is. */
interface Recorded {
  readonly index: number;
  readonly program: Program;
  readonly log: Log;
}

/** @returns the exit status */
export async function replay(
  file: string,
  kernel: string,
  progress: Progress,
  output: (chunk: Buffer) => void,
): Promise<number> {
  const [first = '', ...rest] = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  const value = JSON.parse(first) as { machine?: Machine; failures?: Report['failures'] };
  if (value.machine !== undefined) return await compareRecording(value.machine, rest);
  if (rest.length > 0) throw new UsageError(`${file} is neither a program, nor a report, nor a recording`);
  const programs = value.failures?.map(({ program }) => program) ?? [checkProgram(value)];
  return await runAgain(programs, kernel, progress, output);
}

async function compareRecording(machine: Machine, lines: readonly string[]): Promise<number> {
  const simulation = new Simulation(machine);
  const kinds = new Map<string, { count: number; text: string }>();
  for (const line of lines) {
    const { index, program, log } = JSON.parse(line) as Recorded;
    const divergence = difference(log, await simulation.run(program));
    if (divergence === null) continue;
    const step = program.steps[divergence.step];
    const kind = kindOf(divergence, step?.op ?? 'end');
    const known = kinds.get(kind);
    if (known !== undefined) known.count++;
    else {
      const at = `program ${index}, step ${divergence.step}: ${step === undefined ? 'the end' : stepText(step)}`;
      kinds.set(kind, { count: 1, text: `${at}\n${sideBySide(divergence.kernel, divergence.simulation)}` });
    }
  }
  for (const [kind, { count, text }] of kinds) console.log(`=== ${count} x ${kind}\n${text}\n`);
  const diverged = [...kinds.values()].reduce((all, { count }) => all + count, 0);
  console.log(`${lines.length} programs of ${machine.release}, ${diverged} diverged`);
  return diverged === 0 ? 0 : 1;
}

async function runAgain(
  programs: readonly Program[],
  kernel: string,
  progress: Progress,
  output: (chunk: Buffer) => void,
): Promise<number> {
  const guest = await Guest.boot(kernel, progress, output);
  try {
    const simulation = new Simulation(guest.machine);
    let diverged = 0;
    for (const program of programs) {
      const { log } = await guest.run([program])[0]!;
      const execution = await simulation.run(program);
      const divergence = difference(log, execution);
      for (const [index, lines] of log.entries()) {
        const step = program.steps[index];
        console.log(`${String(index).padStart(3)}  ${step === undefined ? 'the end' : stepText(step)}`);
        if (divergence?.step === index) console.log(sideBySide(divergence.kernel, divergence.simulation));
        else for (const line of lines) console.log(`       ${line}`);
      }
      if (divergence !== null) diverged++;
    }
    for (const complaint of await guest.close()) console.log(complaint);
    console.log(`${programs.length} programs, ${diverged} diverged`);
    return diverged === 0 ? 0 : 1;
  } catch (error) {
    await guest.kill();
    throw error;
  }
}
