/** Many programs on one kernel and on the simulation of it, compared as they come. */
import { difference, kindOf, sideBySide } from '../../test/fuzz/compare.js';
import { addCoverage, type Coverage } from '../../test/fuzz/coverage.js';
import { programOf } from '../../test/fuzz/generate.js';
import type { Program } from '../../test/fuzz/program.js';
import { shrink } from '../../test/fuzz/shrink.js';
import { ENDED_EARLY } from '../../test/fuzz/execute.js';
import { Simulation } from '../../test/fuzz/simulate.js';
import { stepText, testText } from '../../test/fuzz/typescript.js';
import type { Progress } from '../provision/tools.js';
import { UsageError } from '../usage-error.js';
import { Guest } from './guest.js';
import { Recording } from './recording.js';
import { kernelName } from '../../test/fuzz/stable-version.js';
import { rates, type Failure, type Report } from './report.js';

export interface CampaignOptions {
  readonly kernel: string;
  readonly seed: number;
  /** Indices of programs, in all shards together: 0 to this. */
  readonly programs: number;
  readonly shard: { readonly index: number; readonly count: number };
  /** Steps of a program. */
  readonly length: number;
  /** Kinds of divergence after which to stop. */
  readonly failures: number;
  /** A file for what the kernel showed of each program. */
  readonly record?: string;
  readonly progress: Progress;
  readonly output: (chunk: Buffer) => void;
}

/** Programs in one message to the guest; two messages are under way, so that it never waits. */
const BATCH = 8;
/** Milliseconds between two lines of progress. */
export const PROGRESS_EVERY = 10_000;

export interface CampaignResult {
  readonly report: Report;
  /** What the kernel complained of. */
  readonly complaints: readonly string[];
}

/**
 * @throws UsageError for a shard without a program: no difference in nothing is no result
 * @throws VmError if the machine fails, or lacks what its kernel has
 */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const { kernel, seed, length, shard, progress } = options;
  if (shard.index >= options.programs) {
    throw new UsageError(`part ${shard.index + 1} of ${shard.count} of ${options.programs} programs has no program`);
  }
  const began = performance.now();
  const guest = await Guest.boot(kernel, progress, options.output);
  try {
    const { machine } = guest;
    const capabilities = { devices: machine.devices.map(({ kind }) => kind), exclusive: machine.exclusive };
    const recording = options.record === undefined ? null : new Recording(options.record, machine);
    const simulation = new Simulation(machine);
    const found = new Map<string, Failure>();
    const notModelled: Record<string, number> = {};
    const coverage: Coverage = {};
    const seconds = { wall: 0, guest: 0, simulation: 0, generation: 0 };
    const booted = guest.cpuSeconds();
    let simulationCpu = 0;
    let [programs, steps, diverged, endedEarly, told] = [0, 0, 0, 0, performance.now()];

    const report = (): Report => ({
      version: 1,
      ...{
        kernel,
        release: kernelName(machine),
        seed,
        length,
        programs,
        steps,
        diverged,
        notModelled,
        endedEarly,
        coverage,
      },
      seconds: { ...seconds, wall: (performance.now() - began) / 1000 },
      cpuSeconds: { guest: guest.cpuSeconds() - booted, simulation: simulationCpu },
      failures: [...found.values()],
    });
    const timed = async <T>(part: keyof typeof seconds, work: () => T | Promise<T>): Promise<T> => {
      const start = performance.now();
      const result = await work();
      seconds[part] += (performance.now() - start) / 1000;
      return result;
    };

    const mine = indices(options.programs, shard);
    const batches: {
      readonly programs: readonly Program[];
      readonly at: readonly number[];
      readonly results: ReturnType<Guest['run']>;
    }[] = [];
    const feed = async (): Promise<void> => {
      const at: number[] = [];
      for (let next = mine.next(); next.done !== true; next = mine.next()) {
        at.push(next.value);
        if (at.length === BATCH) break;
      }
      if (at.length === 0) return;
      const made = await timed('generation', () => at.map((index) => programOf(seed, index, length, capabilities)));
      const results = guest.run(made);
      // They are awaited one by one; a machine that fails fails them all.
      for (const result of results) result.catch(() => undefined);
      batches.push({ programs: made, at, results });
    };
    await feed();
    await feed();
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
      for (const [position, program] of batch.programs.entries()) {
        const { log, milliseconds } = await batch.results[position]!;
        const index = batch.at[position]!;
        recording?.add(index, program, log);
        seconds.guest += milliseconds / 1000;
        const before = process.cpuUsage();
        const execution = await timed('simulation', () => simulation.run(program));
        const { user, system } = process.cpuUsage(before);
        simulationCpu += (user + system) / 1e6;
        programs++;
        // One that ended early has no entry for the steps that were left.
        steps += Math.min(program.steps.length, log.length);
        if (log.at(-1)?.includes(ENDED_EARLY) === true) endedEarly++;
        for (const [step, lines] of log.entries())
          if (step < program.steps.length) addCoverage(coverage, program.steps[step]!, lines);
        if (execution.notModelled !== undefined)
          notModelled[execution.notModelled] = (notModelled[execution.notModelled] ?? 0) + 1;
        const divergence = difference(log, execution);
        if (divergence === null) continue;
        diverged++;
        const kind = kindOf(divergence, program.steps[divergence.step]?.op ?? 'end');
        if (!found.has(kind)) {
          found.set(kind, { index, kind, program, log, divergence });
          progress(`program ${index} of seed ${seed} diverges: ${kind}`);
        }
      }
      if (performance.now() - told > PROGRESS_EVERY) {
        told = performance.now();
        progress(`${programs} programs, ${diverged} diverged; ${rates(report())}`);
      }
      if (found.size < options.failures) await feed();
    }

    // While there is a machine to ask, and nothing in it but the programs.
    const result = report();
    const failures: Failure[] = [];
    for (const failure of found.values()) {
      progress(`shrinking program ${failure.index}: ${failure.kind}`);
      failures.push(await shrunk(failure, guest, simulation));
    }
    const complaints = await guest.close();
    return { report: { ...result, failures }, complaints };
  } catch (error) {
    await guest.kill();
    throw error;
  }
}

/** Every count-th program, from the index-th on. */
function* indices(programs: number, { index, count }: CampaignOptions['shard']): Generator<number, undefined> {
  for (let at = index; at < programs; at += count) yield at;
}

async function shrunk(failure: Failure, guest: Guest, simulation: Simulation): Promise<Failure> {
  const { program, divergence } = failure;
  let last = failure;
  const diverges = async (candidate: Program): Promise<boolean> => {
    const [{ log }, execution] = await Promise.all([guest.run([candidate])[0]!, simulation.run(candidate)]);
    const different = difference(log, execution);
    if (different === null) return false;
    last = { ...failure, program: candidate, log, divergence: different };
    return true;
  };
  const upTo: Program = { ...program, steps: program.steps.slice(0, divergence.step + 1) };
  // What can only be seen once is no bug of the simulation: it says so, and shows what it was.
  if (!(await diverges(upTo)) && !(await diverges(program)))
    return { ...failure, kind: `not repeatable: ${failure.kind}` };
  await shrink(last.program, diverges);
  return last;
}

/** A failure for people: the program, the two logs, and how to see it again. */
export function failureText(failure: Failure, report: Report): string {
  const { program, divergence, index, log } = failure;
  const { kernel, seed } = report;
  const at = program.steps[divergence.step];
  return [
    `=== program ${index} of seed ${seed} on ${kernel}: ${failure.kind}`,
    ...program.steps.map((step, number) => `${String(number).padStart(3)}  ${stepText(step)}`),
    '',
    `after step ${divergence.step} (${at === undefined ? 'the end' : at.op}):`,
    sideBySide(divergence.kernel, divergence.simulation),
    '',
    'as a test, with the kernel’s answers:',
    testText(program, log, `${failure.kind}`),
    '',
    `again: npm run fuzz -- --kernel ${kernel} --seed ${seed} --only ${index}`,
  ].join('\n');
}
