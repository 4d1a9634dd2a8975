/** The differential test's own parts; that kernel and simulation agree is for npm run fuzz to say. */
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import * as hmm from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { mergeReports, rates, summary, type Report } from '../../scripts/fuzz/report.js';
import { sketches } from './arbitraries.js';
import { difference, sideBySide } from './compare.js';
import { FAULTS } from './faults.js';
import { programOf } from './generate.js';
import type { Found } from './planted.js';
import { Pages } from './observe.js';
import { PAGE, PROGRAM_VERSION, WINDOW_LENGTH, checkProgram, type Program, type Step } from './program.js';
import { resolve, type Capabilities } from './resolve.js';
import { shrink } from './shrink.js';
import { Simulation } from './simulate.js';
import { stepText } from './typescript.js';

const LENGTH = 40;
const EVERYTHING: Capabilities = { devices: ['private', 'private', 'coherent', 'coherent'], exclusive: true };
const MACHINE = {
  release: '6.12.0',
  devices: EVERYTHING.devices.map((kind) => ({ kind, capacity: 4096 })),
  exclusive: true,
};

function program(...steps: Step[]): Program {
  return { version: PROGRAM_VERSION, steps };
}

describe('programs', () => {
  it('are the same for the same seed and index, whatever was asked for before', () => {
    const forwards = [0, 1, 2, 3].map((index) => programOf(7, index, LENGTH, EVERYTHING));
    const backwards = [3, 2, 1, 0].map((index) => programOf(7, index, LENGTH, EVERYTHING)).reverse();
    expect(backwards).toEqual(forwards);
    expect(new Set([...forwards, programOf(8, 0, LENGTH, EVERYTHING)].map((each) => JSON.stringify(each))).size).toBe(
      5,
    );
  });

  it('survive being sent as JSON, and only programs of this version are taken', () => {
    const made = programOf(1, 0, LENGTH, EVERYTHING);
    expect(checkProgram(JSON.parse(JSON.stringify(made)))).toEqual(made);
    expect(() => checkProgram({ ...made, version: 0 })).toThrow('version');
    expect(() => checkProgram({ version: PROGRAM_VERSION, steps: [{}] })).toThrow('step');
  });

  it('ask a kernel that cannot do it for no exclusive access', () => {
    const without: Capabilities = { devices: ['none', 'coherent'], exclusive: false };
    const ops = Array.from({ length: 60 }, (_, index) => programOf(1, index, LENGTH, without)).flatMap(({ steps }) =>
      steps.map(({ op }) => op),
    );
    expect(ops).toContain('to-device');
    expect(ops).not.toContain('exclusive');
    expect(ops).not.toContain('atomic');
  });

  it('are printed as source text that is the same program again', () => {
    // The text names constants of the package, and nothing else.
    const evaluate = (text: string) => JSON.parse(JSON.stringify(runInNewContext(`(${text})`, { ...hmm }))) as unknown;
    fc.assert(
      fc.property(sketches(LENGTH), (sketch) => {
        for (const step of resolve(sketch, EVERYTHING, LENGTH).steps) expect(evaluate(stepText(step))).toEqual(step);
      }),
      { seed: 1, numRuns: 30 },
    );
  });

  it('take a frame that has gone and come back for another one, because on a kernel it would be', async () => {
    const at = { space: 0, at: 0, length: PAGE };
    const steps: Step[] = [
      { op: 'mmap', ...at, protection: hmm.PROT_READ | hmm.PROT_WRITE, backing: 'private', flags: 0 },
      { op: 'write', space: 0, at: 0, length: 1, seed: 0 },
      { op: 'insert', ...at, slot: 0 },
      {
        op: 'fault',
        slot: 0,
        at: 0,
        length: PAGE,
        snapshot: true,
        flags: 'none',
        mask: 'none',
        requests: [],
        fresh: true,
      },
    ];
    const driver: Step = { op: 'driver', slot: 0, device: 2, at: 0, write: false };
    const drop: Step = { op: 'madvise', ...at, advice: hmm.MADV_DONTNEED };
    const last = async (...all: Step[]) =>
      (await new Simulation(MACHINE).run(program(...all))).log[all.length - 1]?.[0];
    expect(await last(...steps, driver)).toBe('= 1 x 0');
    // The frame freed last is the one given out next, here.
    expect(await last(...steps, drop, steps[1]!, driver)).toBe('= ESTALE at +0x0');
  });

  it('show the same twice on the simulation, and leave nothing of a device in use', async () => {
    const simulation = new Simulation(MACHINE);
    await fc.assert(
      fc.asyncProperty(sketches(LENGTH), async (sketch) => {
        const made = resolve(sketch, EVERYTHING, LENGTH);
        const first = await simulation.run(made);
        expect(await simulation.run(made)).toEqual(first);
        expect(first.log.flat().filter((line) => /simulation threw|left in use .*[1-9]/.test(line))).toEqual([]);
      }),
      { seed: 1, numRuns: 40 },
    );
  });
});

describe('what is seen of a page table', () => {
  const V = hmm.HMM_PFN_VALID;
  const VW = V | hmm.HMM_PFN_WRITE;
  const text = (entries: readonly (readonly [page: number, entry: bigint])[]) => {
    const pfns = new BigUint64Array(WINDOW_LENGTH / PAGE);
    const pages = new Pages().begin({ pfns } as hmm.HmmRange);
    expect(pages.changed()).toBe(true);
    for (const [page, entry] of entries) pfns[page] = entry;
    expect(pages.changed()).toBe(entries.length > 0);
    return Pages.texts([pages])[0];
  };

  it('is told in runs, which go on over the end of a block of 512 and not over a difference', () => {
    expect(text([])).toBe('nothing');
    expect(text([510, 511, 512, 513].map((page) => [page, VW | BigInt(page)]))).toBe('510+4 VW');
    expect(text([510, 511, 512, 513].map((page) => [page, (page < 512 ? VW : V) | BigInt(page)]))).toBe(
      '510+2 VW, 512+2 V',
    );
    expect(text([511, 512].map((page) => [page, VW | 7n]))).toBe('511+2 VW =1');
    expect(text([511, 512].map((page) => [page, hmm.HMM_PFN_ERROR]))).toBe('511+2 E');
    expect(text([[511, hmm.HMM_PFN_ERROR]])).toBe('511 E');
  });

  it('is other only when an entry is', () => {
    const pfns = new BigUint64Array(WINDOW_LENGTH / PAGE);
    const pages = new Pages().begin({ pfns } as hmm.HmmRange);
    expect([pages.changed(), pages.changed()]).toEqual([true, false]);
    pfns[2047] = VW;
    expect([pages.changed(), pages.changed()]).toEqual([true, false]);
    // For the next process everything is new.
    expect(pages.begin({ pfns } as hmm.HmmRange).changed()).toBe(true);
  });
});

describe('comparison', () => {
  const log = [['= ok'], ['p0 clear +0x0..+0x1000 seq 3', '= ok'], []];

  it('finds the first step that differs: in a line, or in one that is missing', () => {
    expect(difference(log, { log })).toBe(null);
    expect(difference(log, { log: [['= ok'], ['p0 clear +0x0..+0x2000 seq 3', '= ok'], []] })?.step).toBe(1);
    expect(difference(log, { log: [['= ok'], ['p0 clear +0x0..+0x1000 seq 3'], []] })?.step).toBe(1);
    expect(difference(log, { log: log.slice(0, 1) })?.step).toBe(1);
  });

  it('ends where the simulation said that it does not model a step, and only there', () => {
    expect(difference(log, { log: log.slice(0, 1), notModelled: 'KSM' })).toBe(null);
    expect(difference(log, { log: [['= EINVAL']], notModelled: 'KSM' })?.step).toBe(0);
  });

  it('shows two logs side by side, marked where they differ', () => {
    const lines = sideBySide(['same', 'kernel alone'], ['same']).split('\n');
    expect(lines.map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['kernel', 'simulation'],
      ['same', 'same'],
      ['kernel alone', '|'],
    ]);
  });
});

describe('shrinking', () => {
  const touch = (at: number): Step => ({ op: 'read', space: 0, at, length: 8192 });
  const fork: Step = { op: 'fork', space: 0 };
  const exit: Step = { op: 'exit', space: 1 };

  it('leaves only the steps that it takes, as simple as they can be', async () => {
    const long = program(touch(0), fork, touch(4096), touch(0), exit, touch(0), touch(0));
    let runs = 0;
    const shrunk = await shrink(long, async ({ steps }) => {
      runs++;
      const ops = steps.map(({ op }) => op);
      return ops.includes('fork') && ops.lastIndexOf('exit') > ops.indexOf('fork') && ops.at(-1) === 'read';
    });
    expect(shrunk).toEqual(program(fork, exit, { op: 'read', space: 0, at: 0, length: 1 }));
    expect(runs).toBeLessThan(40);
  });

  it('leaves a program alone of which nothing can go', async () => {
    const short = program(fork, exit);
    expect(await shrink(short, async ({ steps }) => steps.length === 2)).toEqual(short);
  });
});

describe('reports', () => {
  const report = (programs: number, more: Partial<Report> = {}): Report => ({
    version: 1,
    kernel: 'debian-6.12',
    release: '6.12.0',
    seed: 5,
    length: LENGTH,
    programs,
    steps: programs * LENGTH,
    diverged: 1,
    notModelled: { KSM: programs },
    endedEarly: 1,
    seconds: { wall: 1, guest: 2, simulation: 3, generation: 4 },
    coverage: { a: 1 },
    failures: [],
    ...more,
  });

  it('of shards add up', () => {
    expect(mergeReports([report(3), report(4, { coverage: { a: 2, b: 5 } })])).toEqual(
      report(7, {
        diverged: 2,
        endedEarly: 2,
        seconds: { wall: 2, guest: 4, simulation: 6, generation: 8 },
        coverage: { a: 3, b: 5 },
      }),
    );
  });

  it('have the time of processors only if all have it', () => {
    const cpuSeconds = { guest: 5, simulation: 0.5 };
    const merged = mergeReports([report(3, { cpuSeconds }), report(4, { cpuSeconds })]);
    expect(merged.cpuSeconds).toEqual({ guest: 10, simulation: 1 });
    expect(rates({ ...merged, programs: 10 })).toContain(
      'a program takes 1000.0 ms in the machine and 100.0 ms in the simulation (10 times as many)',
    );
    expect(mergeReports([report(3, { cpuSeconds }), report(4)])).not.toHaveProperty('cpuSeconds');
  });

  it('name the programs that ended early', () => {
    expect(summary(report(3))).toContain('ended early, by an operation that began again for ten seconds: 1\n');
    expect(summary(report(3, { endedEarly: 0 }))).not.toContain('ended early');
  });

  it('of different campaigns do not', () => {
    expect(() => mergeReports([report(3), report(3, { seed: 6 })])).toThrow('different campaigns');
    expect(() => mergeReports([])).toThrow('no report');
  });
});

it('finds each of the faults that are planted in the simulation', { timeout: 900_000 }, () => {
  const script = path.resolve('dist', 'test', 'fuzz', 'planted.js');
  const found = JSON.parse(execFileSync(process.execPath, [script], { encoding: 'utf8' })) as Found[];
  expect(found.map(({ name }) => name)).toEqual(FAULTS.map(({ name }) => name));
  expect(found.filter(({ after }) => after === null)).toEqual([]);
});
