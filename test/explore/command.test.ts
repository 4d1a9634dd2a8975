/** node-hmm explore, as a program: what it prints, writes and returns. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../scripts/usage-error.js';
import { parseExploreCommandLine } from '../../scripts/explore/options.js';

const CLI = fileURLToPath(new URL('../../dist/scripts/cli.js', import.meta.url));
const RACES = fileURLToPath(new URL('./fixtures/races.mjs', import.meta.url));
const CLOCK = fileURLToPath(new URL('./fixtures/clock.mjs', import.meta.url));

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [CLI, 'explore', ...args], { encoding: 'utf8' });
}

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-explore-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('node-hmm explore', () => {
  it('says that every order passes', () => {
    expect(run(RACES)).toMatchObject({ status: 0, stdout: 'passed: 57 executions, 651 steps, exhaustive\n' });
  });

  it('shows the order that fails, and makes it again', () => {
    const { status, stdout } = run(RACES, '--scenario', 'wrong');
    expect(status).toBe(1);
    const schedule = /await replay\(scenario, '([^']+)'\)/.exec(stdout)?.[1] ?? '';
    const again = run(RACES, '--scenario', 'wrong', '--replay', schedule);
    expect(again.status).toBe(1);
    expect(again.stdout).toMatch(/^failed: error\n {2}Error: the device came too late\n\n +cpu +device\n/);
    const right = run(RACES, '--replay', schedule);
    expect(right).toMatchObject({ status: 0 });
    expect(right.stdout).toMatch(/^passed: the scenario returned "EFAULT"\n/);
  });

  it('explores a part on each of three machines, and puts them together', () => {
    const parts = [1, 2, 3].map((index) => {
      const output = path.join(folder, `${index}.json`);
      // The second one has two threads.
      const threads = index === 2 ? ['--workers', '2'] : [];
      const { status, stdout } = run(RACES, '--shard', `${index}/3`, ...threads, '--output', output);
      expect([status, stdout.startsWith(`incomplete: this was part ${index} of 3`)]).toEqual([0, true]);
      return output;
    });
    const merged = run('--merge', ...parts.reverse());
    expect(merged).toMatchObject({ status: 0 });
    expect(merged.stdout).toMatch(/^passed: 57 executions, /);
    const two = run('--merge', ...parts.slice(1));
    expect(two.status).toBe(65);
    expect(two.stderr).toContain('results must be those of all shards, each once; they are 2/3, 1/3');
  });

  it('puts a failure of one part before all others', () => {
    const parts = [1, 2].map((index) => {
      const output = path.join(folder, `wrong-${index}.json`);
      run(RACES, '--scenario', 'wrong', '--shard', `${index}/2`, '--output', output);
      return output;
    });
    const merged = run('--merge', ...parts);
    expect(merged.status).toBe(1);
    expect(merged.stdout).toMatch(/^failed: error\n {2}Error: the device came too late\n/);
  });

  it('gives the answer of one thread on two', () => {
    expect(run(RACES, '--workers', '2').stdout).toMatch(/^passed: 57 executions, /);
  });

  it('does not call a limit a pass, nor a scenario that cannot be explored a failure', () => {
    const limited = run(RACES, '--max-executions', '3');
    expect(limited.status).toBe(2);
    expect(limited.stdout).toMatch(/^incomplete: the limit of 3 executions; no failure in 3 executions/);
    const clock = run(CLOCK);
    expect(clock).toMatchObject({ status: 65, stdout: '' });
    expect(clock.stderr).toContain('ForbiddenError: Date.now in a scenario');
    expect(run(path.join(folder, 'nothing.mjs')).status).toBe(65);
    const text = path.join(folder, 'text.json');
    writeFileSync(text, '{"format":"node-hmm explore 2"}');
    const foreign = run('--merge', text);
    expect(foreign.status).toBe(65);
    expect(foreign.stderr).toContain(`a result says 'node-hmm explore 1' of itself, not "node-hmm explore 2"`);
  });

  it('loads TypeScript, and what does not load is told in a line, with the line that is to blame', () => {
    const typed = fileURLToPath(new URL('./fixtures/typed.ts', import.meta.url));
    expect(run(typed)).toMatchObject({ status: 0, stdout: 'passed: 4 executions, 24 steps, exhaustive\n' });

    const cases: readonly (readonly [name: string, text: string | null, told: RegExp])[] = [
      ['none.mjs', null, /^node-hmm explore: cannot load .*none\.mjs: there is no such file\n$/],
      [
        'throws.mjs',
        'function deep() {\n  throw new Error("boom", { cause: new Error("below") });\n}\ndeep();\n',
        /^node-hmm explore: cannot load .*: Error: boom\n {4}at deep \(file:.*throws\.mjs:2:9\)\n.*throws\.mjs:4:1\n {2}cause: Error: below\n/,
      ],
      [
        'package.mjs',
        'import "no-such-package-at-all";',
        /ERR_MODULE_NOT_FOUND: Cannot find package 'no-such-package-at-all'.*\n$/,
      ],
      ['syntax.mjs', '\nexport default (world) => { let let = 1;', /SyntaxError: .+\n {4}at .*syntax\.mjs:2\n$/],
      ['names.mjs', 'import { nothing } from "node:fs";', /SyntaxError: .*'nothing'\n {4}at file:.*names\.mjs:1\n$/],
    ];
    for (const [name, text, told] of cases) {
      const file = path.join(folder, name);
      if (text !== null) writeFileSync(file, text);
      const { status, stdout, stderr } = run(file);
      expect([name, status, stdout]).toEqual([name, 65, '']);
      expect(stderr).toMatch(told);
      expect(stderr).not.toMatch(/node:internal|dist\/scripts/);
    }
    expect(run(folder).stderr).toBe(`node-hmm explore: cannot load ${folder}: it is no file\n`);
  });

  it('says what is wrong with a result before it merges, and with a place for one before it explores', () => {
    const bad = path.join(folder, 'bad.json');
    writeFileSync(bad, 'no json');
    const merged = run('--merge', bad);
    expect(merged.status).toBe(65);
    expect(merged.stderr).toMatch(/^node-hmm explore: .*bad\.json: .+\n$/);
    expect(run('--merge', path.join(folder, 'none.json'))).toMatchObject({
      status: 65,
      stderr: `node-hmm explore: cannot read ${path.join(folder, 'none.json')}: there is no such file\n`,
    });
    const nowhere = run(RACES, '--output', path.join(folder, 'no', 'such', 'folder.json'));
    expect(nowhere).toMatchObject({ status: 64, stdout: '' });
    expect(nowhere.stderr).toContain('--output: ');
  });

  it('ends quietly when its reader goes away', async () => {
    // Gone before the first byte, which a pipe into head cannot promise.
    const child = spawn(process.execPath, [CLI, 'explore', RACES, '--scenario', 'wrong'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const status = await new Promise((resolve) => child.once('close', resolve));
    expect({ status, stderr }).toEqual({ status: 141, stderr: '' });
  });

  it('helps', () => {
    expect(run('--help')).toMatchObject({ status: 0, stderr: '' });
    expect(run('--help').stdout).toMatch(/^Usage: node-hmm explore \[OPTIONS\] FILE\n/);
  });

  it.each([
    [['--scenario', 'nobody', RACES], 'exports no function "nobody"'],
    [['--strategy', 'random', '--shard', '1/2', RACES], 'options.shard is for the exhaustive strategy'],
    [['--strategy', 'pct', '--workers', '2', RACES], '--workers is for the exhaustive strategy'],
    [['--shard', '3/2', RACES], "a shard is 'i/n'"],
    [['--replay', 'hmm2:', RACES], "version 'hmm2:'"],
  ])('%j is wrong usage', (args, message) => {
    const { status, stderr } = run(...args);
    expect(status).toBe(64);
    expect(stderr).toContain(message);
  });
});

describe('the command line of explore', () => {
  it('is options of explore(), and where the scenario is', () => {
    const args = '--strategy pct --depth=4 --executions 9 --seed 7 --max-steps 5 --livelock-calls 6 --no-oracle --all';
    expect(parseExploreCommandLine([...args.split(' '), 'race.mjs', '--scenario=right', '--no-minimise'])).toEqual({
      help: false,
      merge: false,
      files: ['race.mjs'],
      scenario: 'right',
      workers: 0,
      options: {
        strategy: 'pct',
        depth: 4,
        executions: 9,
        seed: 7,
        maxSteps: 5,
        livelockCalls: 6,
        oracle: false,
        stopAtFirst: false,
        minimise: false,
      },
    });
  });

  it.each([
    [[], 'takes one file'],
    [['a', 'b'], 'takes one file'],
    [['--merge'], 'the results of all shards'],
    [['a', '--seed', '-1'], '--seed takes a number'],
    [['a', '--seed'], '--seed needs a value'],
    [['a', '--all=1'], '--all takes no value'],
    [['a', '--strategy', 'luck'], '--strategy takes exhaustive, bounded, random, pct'],
    [['a', '--quick'], 'unknown option --quick'],
    [['a', '--replay', 'hmm1:', '--shard', '1/2'], 'none of --workers, --shard, --output'],
  ])('%j is refused', (args, message) => {
    expect(() => parseExploreCommandLine(args)).toThrow(UsageError);
    expect(() => parseExploreCommandLine(args)).toThrow(message);
  });
});
