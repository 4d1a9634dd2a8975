/** What doctor says, and its status. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { checkNode } from '../../scripts/doctor/checks.js';
import {
  formatFindings,
  later,
  missing,
  ok,
  optional,
  statusOf,
  summary,
  type Finding,
} from '../../scripts/doctor/findings.js';

const base = [ok('Node.js', '24.0.0'), ok('simulation', 'works')];

function temporary(): string {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'node-hmm-doctor-')));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

function doctor(cli: string, env: NodeJS.ProcessEnv, cwd: string) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, 'doctor', '--json'], {
    env,
    cwd,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  const told = JSON.parse(stdout) as { version: string; summary: string; status: number; findings: Finding[] };
  expect(told.status).toBe(status);
  expect(told.version).toMatch(/^\d+\.\d+\.\d+/);
  return { ...told, state: (name: string) => told.findings.find((finding) => finding.name === name)?.state };
}

describe('the summary', () => {
  it('is a virtual machine away only where nothing is missing for it', () => {
    const fine = [...base, ok('addon', ''), optional('module', ''), later('QEMU', '')];
    expect([statusOf(fine), summary(fine)]).toEqual([0, expect.stringContaining('a virtual machine away')]);
    const lacking = [...fine, missing('gcc', '', 'install gcc'), missing('apt-get', '')];
    expect([statusOf(lacking), summary(lacking)]).toEqual([
      1,
      'Works here: the simulation. Not the real kernel, for which gcc, apt-get are missing.',
    ]);
    const noAddon = [...base, missing('addon', ''), optional('module', '')];
    expect([statusOf(noAddon), summary(noAddon)]).toEqual([1, expect.stringContaining('addon is missing')]);
  });

  it('says that nothing works without the simulation, and that all does with the module', () => {
    expect(summary([ok('Node.js', ''), missing('simulation', '')])).toBe('Nothing works yet: simulation missing.');
    expect(summary([...base, ok('addon', ''), ok('module', '')])).toBe(
      'Works here: the simulation and the real kernel.',
    );
  });

  it('is a table of states', () => {
    expect(
      formatFindings([ok('a', 'is there'), later('long', 'comes by itself'), missing('b', 'is not', 'get it')]),
    ).toBe(
      'ok        a     is there\nlater     long  comes by itself\nmissing   b     is not\n                → get it\n',
    );
  });
});

it("Node: as package.json's engines say", () => {
  const { engines } = JSON.parse(readFileSync('package.json', 'utf8')) as { engines: { node: string } };
  expect(engines.node).toBe('^20.19.0 || >=22.12.0');
  for (const version of ['20.19.0', '20.20.2', '22.12.0', '23.1.0', '26.0.0'])
    expect(checkNode(version).state).toBe('ok');
  for (const version of ['18.20.0', '20.18.9', '21.7.0', '22.11.0']) expect(checkNode(version).state).toBe('missing');
});

describe('doctor', () => {
  it('finds what a bare PATH lacks', () => {
    const folder = temporary();
    const found = doctor(
      path.resolve('dist/scripts/cli.js'),
      { PATH: folder, NODE_HMM_CACHE: folder, HOME: folder },
      folder,
    );
    for (const name of ['gcc', 'make', 'apt-get', 'QEMU', 'setpriv'])
      expect([name, found.state(name)]).toEqual([name, 'missing']);
    expect(found.status).toBe(1);
    expect(found.summary).not.toContain('virtual machine away');
  });

  it('works in a folder whose name means something in a URL, and finds that the addon is not built there', () => {
    const folder = path.join(temporary(), 'a#b%41 c');
    mkdirSync(folder);
    // A package as it is installed, without its addon.
    for (const part of ['dist/lib', 'dist/scripts', 'package.json'])
      cpSync(part, path.join(folder, part), { recursive: true });
    symlinkSync(path.resolve('node_modules'), path.join(folder, 'node_modules'));
    const found = doctor(path.join(folder, 'dist/scripts/cli.js'), process.env, folder);
    expect([found.state('simulation'), found.state('addon')]).toEqual(['ok', 'missing']);
    expect(found.status).toBe(1);
  });

  it('offers no fuzz in an installed package, and says why it is refused', () => {
    const folder = temporary();
    for (const part of ['dist/lib', 'dist/scripts', 'package.json'])
      cpSync(part, path.join(folder, part), { recursive: true });
    const run = (...args: string[]) =>
      spawnSync(process.execPath, [path.join(folder, 'dist/scripts/cli.js'), ...args], { encoding: 'utf8' });
    expect(run('--help').stdout).not.toContain('fuzz');
    expect(run('completion', 'bash').stdout).not.toContain('fuzz');
    for (const args of [['fuzz'], ['fuzz', '--help'], ['help', 'fuzz']]) {
      const { status, stderr } = run(...args);
      expect([status, stderr]).toEqual([64, expect.stringContaining('fuzz works in a clone of the project')]);
    }
  });
});
