import { execFileSync, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import { createInterface, type Interface } from 'node:readline';

const root = path.dirname(createRequire(import.meta.url).resolve('node-hmm/package.json'));

/** Compiles a C program of this folder. @returns its path, in `folder` */
export function compileYardstick(name: 'ioctls' | 'drivers', folder: string): string {
  const program = path.join(folder, name);
  const source = path.join(root, 'bench', `${name}.c`);
  execFileSync('cc', ['-std=gnu11', '-D_GNU_SOURCE', '-O2', '-Wall', '-static', '-o', program, source], {
    stdio: 'inherit',
  });
  return program;
}

/** The C program beside us: takes a command, runs it, says how long it took. */
export class Yardstick {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: Interface;
  readonly #answers: AsyncIterator<string>;

  constructor(program: string, args: readonly string[] = []) {
    this.#child = spawn(program, args, { stdio: 'pipe' });
    this.#child.stderr.pipe(process.stderr);
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#answers = this.#lines[Symbol.asyncIterator]();
  }

  /** @returns nanoseconds for the whole command */
  async ask(command: string): Promise<number> {
    this.#child.stdin.write(`${command}\n`);
    const line = await this.#answers.next();
    if (line.done === true) throw new Error(`the C program ended at "${command}"`);
    const nanoseconds = Number(line.value);
    if (!Number.isFinite(nanoseconds)) throw new Error(`"${command}": ${line.value}`);
    return nanoseconds;
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.stdin.end();
    await ended;
    this.#lines.close();
  }
}
