/** A stranger's project: an empty folder in which the package is installed. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BLOCKS, ROOT, type Block } from './markdown.js';

export interface Ended {
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

export class Project {
  readonly folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-docs-'));

  /** @param installed 'linked': all of the package, with its commands; 'copied': only what types are read from */
  constructor(installed: 'linked' | 'copied') {
    const modules = path.join(this.folder, 'node_modules');
    const own = path.join(modules, 'node-hmm');
    if (installed === 'linked') {
      mkdirSync(path.join(modules, '.bin'), { recursive: true });
      symlinkSync(ROOT, own);
      // npm links it and makes it executable, which the clone's own file is not.
      const cli = path.join(own, 'dist', 'scripts', 'cli.js');
      writeFileSync(path.join(modules, '.bin', 'node-hmm'), `#!/bin/sh\nexec node '${cli}' "$@"\n`, { mode: 0o755 });
    } else {
      mkdirSync(own, { recursive: true });
      cpSync(path.join(ROOT, 'package.json'), path.join(own, 'package.json'));
      cpSync(path.join(ROOT, 'dist', 'lib'), path.join(own, 'dist', 'lib'), { recursive: true });
    }
    this.write('package.json', JSON.stringify({ name: 'a-project', private: true, type: 'module' }));
  }

  write(name: string, text: string): string {
    const file = path.join(this.folder, name);
    writeFileSync(file, text);
    return file;
  }

  /** Puts there what a block names: a program of the documents, or a file of setups/. */
  provide(name: string): void {
    const block = BLOCKS.find(({ directives }) => directives.get('file') === name);
    if (block !== undefined) {
      this.write(name, block.code);
      return;
    }
    const setup = path.join(import.meta.dirname, 'setups', name);
    if (!existsSync(setup)) throw new Error(`there is no ${name}: neither in the documents nor in test/docs/setups`);
    cpSync(setup, path.join(this.folder, name));
  }

  /** The program of a block, with what it says it needs beside it. */
  program(block: Block, name: string): string {
    for (const setup of namesOf(block.directives.get('setup'))) this.provide(setup);
    return this.write(name, block.code);
  }

  run(program: string, args: readonly string[], cwd = this.folder): Promise<Ended> {
    return run(program, args, cwd);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

export function namesOf(list: string | undefined): string[] {
  return list === undefined ? [] : list.split(/,\s*/);
}

/** Runs a program to its end; its streams are pipes, as those of a program in a script are. */
export function run(program: string, args: readonly string[], cwd: string): Promise<Ended> {
  const env = { ...process.env };
  // What the test runner has told its own process.
  for (const name of Object.keys(env)) if (/^(VITEST|NODE_OPTIONS$|NODE_ENV$|npm_)/.test(name)) delete env[name];
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], env });
  const read = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (read[name] += text));
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve({ status: code ?? signal ?? 'unknown', ...read }));
  });
}

/** Skips what cannot be done here, and says why; where everything is required, that is a failure. */
export function skipFor(reason: string, skip: (reason: string) => void): void {
  if (process.env['HMM_TEST_REQUIRE_ALL'] === '1') throw new Error(reason);
  skip(reason);
}
