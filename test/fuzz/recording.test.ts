/** Recordings: written as a campaign writes them, with what the simulation shows for what a kernel showed, and replayed as a user replays them. */
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Recording } from '../../scripts/fuzz/recording.js';
import { programOf } from './generate.js';
import { Simulation } from './simulate.js';
import type { Machine } from './protocol.js';
import type { Log } from './program.js';

const PROGRAMS = 9;
const MACHINE: Machine = {
  release: '6.12.0-test',
  devices: (['private', 'private', 'coherent', 'coherent'] as const).map((kind) => ({ kind, capacity: 4096 })),
  exclusive: true,
};
const CAPABILITIES = { devices: MACHINE.devices.map(({ kind }) => kind), exclusive: true };

let folder: string;
beforeAll(() => (folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-recording-'))));
afterAll(() => rmSync(folder, { recursive: true }));

/** @param other changes what was shown of a program */
async function record(name: string, other: (index: number, log: Log) => Log = (_, log) => log): Promise<string> {
  const file = path.join(folder, name);
  const recording = new Recording(file, MACHINE);
  const simulation = new Simulation(MACHINE);
  for (let index = 0; index < PROGRAMS; index++) {
    const program = programOf(3, index, 12, CAPABILITIES);
    recording.add(index, program, other(index, (await simulation.run(program)).log));
  }
  return file;
}

function replay(file: string, ...options: string[]) {
  const script = path.resolve('dist', 'scripts', 'fuzz.js');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--replay', file, ...options], {
    encoding: 'utf8',
  });
  // The last line is how fast it was.
  return { status, stderr, lines: stdout.trimEnd().split('\n') };
}

describe('a recording', () => {
  it('is replayed without a machine, in as many threads as are asked for', async () => {
    const file = await record('same.jsonl');
    for (const workers of ['1', '2', '20']) {
      const { status, lines } = replay(file, '--workers', workers);
      expect(lines.slice(0, -1)).toEqual([`${PROGRAMS} programs of ${MACHINE.release}, 0 diverged`]);
      expect(lines.at(-1)).toMatch(
        new RegExp(`^\\d+ programs/s in ${workers} threads; each takes [\\d.]+ ms of a processor$`),
      );
      expect(status).toBe(0);
    }
  });

  it('shows each kind of divergence once, by its first program, in any number of threads', async () => {
    const wrong = (line: string) => (_: number, log: Log) => [[...log[0]!, line], ...log.slice(1)];
    const file = await record('other.jsonl', (index, log) => {
      if (index === 2 || index === 5 || index === 6) return wrong('the kernel says more')(index, log);
      return index === 4 ? wrong('and otherwise')(index, log) : log;
    });
    const one = replay(file, '--workers', '1');
    expect(one.status).toBe(1);
    const heads = one.lines.filter((line) => /^(===|program )/.test(line));
    expect(heads).toEqual([
      expect.stringMatching(/^=== 3 x .*the kernel says more/) as string,
      expect.stringMatching(/^program 2, step 0: /) as string,
      expect.stringMatching(/^=== 1 x .*and otherwise/) as string,
      expect.stringMatching(/^program 4, step 0: /) as string,
    ]);
    expect(one.lines).toContain(`${PROGRAMS} programs of ${MACHINE.release}, 4 diverged`);
    for (const workers of ['2', '5']) {
      const several = replay(file, '--workers', workers);
      expect([several.status, several.lines.slice(0, -1)]).toEqual([1, one.lines.slice(0, -1)]);
    }
  });

  it('with a line that is none is refused, and the line named', async () => {
    const file = await record('torn.jsonl');
    const whole = readFileSync(file, 'utf8');
    appendFileSync(file, '{"index":9,"program"');
    const torn = replay(file);
    expect([torn.status, torn.stderr]).toEqual([64, expect.stringContaining(`torn.jsonl, line ${PROGRAMS + 2}: `)]);
    writeFileSync(file, whole.replace('"version":', '"version":9'));
    const old = replay(file);
    expect([old.status, old.stderr]).toEqual([64, expect.stringMatching(/torn\.jsonl, line 2: .*version/)]);
  });
});

it('threads are for a recording, and not without bounds', () => {
  const file = path.join(folder, 'program.json');
  writeFileSync(file, JSON.stringify(programOf(3, 0, 12, CAPABILITIES)));
  for (const [workers, complaint] of [
    ['2', '--workers is for recordings'],
    ['65', '--workers takes a whole number from 1 to 64'],
  ] as const) {
    const { status, stderr } = replay(file, '--workers', workers);
    expect([status, stderr]).toEqual([64, expect.stringContaining(complaint)]);
  }
});

it('what is nothing of the kind is refused', () => {
  const file = path.join(folder, 'text');
  writeFileSync(file, 'not JSON\n');
  for (const name of [file, path.join(folder, 'absent')]) {
    const { status, stderr } = replay(name);
    expect([status, stderr]).toEqual([64, expect.stringContaining('neither a program, nor a report, nor a recording')]);
  }
});
