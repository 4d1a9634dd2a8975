/** Programs that were kept: run again, or, where what the kernel showed was kept with them, only compared again. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

import { difference, sideBySide } from '../../test/fuzz/compare.js';
import { checkProgram, type Program } from '../../test/fuzz/program.js';
import type { Machine } from '../../test/fuzz/protocol.js';
import { Simulation } from '../../test/fuzz/simulate.js';
import { kernelName } from '../../test/fuzz/stable-version.js';
import { stepText } from '../../test/fuzz/typescript.js';
import type { Progress } from '../provision/tools.js';
import { EXIT } from '../exit-status.js';
import { reasonOf } from '../files.js';
import { DataError, UsageError } from '../usage-error.js';
import { PROGRESS_EVERY } from './campaign.js';
import { Guest } from './guest.js';
import { recordedMachine } from './recording.js';
import { compareRecording } from './replay-recording.js';
import type { Report } from './report.js';

/**
 * @param workers threads for a recording, which nothing else takes; default: one for each processor
 * @returns the exit status
 */
export async function replay(
  file: string,
  kernel: string,
  workers: number | undefined,
  progress: Progress,
  output: (chunk: Buffer) => void,
): Promise<number> {
  const kept = await read(file);
  if ('machine' in kept) return await replayRecording(file, kept.machine, workers ?? availableParallelism(), progress);
  if (workers !== undefined) throw new UsageError(`--workers is for recordings; what is in ${file} runs on a machine`);
  return await runAgain(kept.programs, kernel, progress, output);
}

/** @throws UsageError or DataError */
async function read(file: string): Promise<{ machine: Machine } | { programs: readonly Program[] }> {
  try {
    const machine = await recordedMachine(file);
    if (machine !== null) return { machine };
    const value = JSON.parse(readFileSync(file, 'utf8')) as { failures?: Report['failures'] };
    const programs = value.failures?.map(({ program }) => program) ?? [checkProgram(value)];
    if (programs.length > 0) return { programs };
  } catch (error) {
    throw new UsageError(`${file} is neither a program, nor a report, nor a recording: ${reasonOf(error)}`);
  }
  throw new DataError(`${file} is a report without a failure: there is no program in it to run again`);
}

async function replayRecording(file: string, machine: Machine, workers: number, progress: Progress): Promise<number> {
  const [began, before] = [performance.now(), process.cpuUsage()];
  let told = began;
  const { programs, kinds } = await compareRecording(file, machine, workers, (done) => {
    if (performance.now() - told < PROGRESS_EVERY) return;
    told = performance.now();
    progress(`${done} programs; ${((1000 * done) / (told - began)).toFixed(0)} a second`);
  });
  if (programs === 0) throw new DataError(`${file} is a recording without a program: nothing was compared`);
  const seconds = (performance.now() - began) / 1000;
  const { user, system } = process.cpuUsage(before);
  for (const { kind, count, text } of kinds) console.log(`=== ${count} x ${kind}\n${text}\n`);
  const diverged = kinds.reduce((all, { count }) => all + count, 0);
  console.log(`${programs} programs of ${kernelName(machine)}, ${diverged} diverged`);
  const cost = programs === 0 ? '-' : ((user + system) / 1000 / programs).toFixed(1);
  console.log(
    `${(programs / seconds).toFixed(0)} programs/s in ${workers} threads; each takes ${cost} ms of a processor`,
  );
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
    const complaints = await guest.close();
    for (const complaint of complaints) console.log(complaint);
    console.log(`${programs.length} programs, ${diverged} diverged, on ${kernel} (${guest.machine.release})`);
    if (diverged > 0) return 1;
    return complaints.length === 0 ? 0 : EXIT.kernel;
  } catch (error) {
    await guest.kill();
    throw error;
  }
}
