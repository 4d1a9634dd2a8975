/** Standard input of this process, for the command in the machine. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { VmError } from './errors.js';
import type { GuestInput } from './guest-input.js';

/** Reading the terminal in the background stops a process (SIGTTIN). */
function inForeground(): boolean {
  // After the name, which is in parentheses and may hold anything: state, ppid, pgrp, session,
  // tty_nr, tpgid.
  const fields = readFileSync('/proc/self/stat', 'utf8').replace(/^.*\)/s, '').trim().split(' ');
  return fields[2] === fields[5];
}

/** @returns what stty printed */
function stty(...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync('stty', args, { stdio: ['inherit', 'pipe', 'pipe'] });
  if (status === 0) return stdout.toString().trim();
  throw new VmError('setup', `stty ${args.join(' ')}: ${error?.message ?? stderr.toString().trim()}`);
}

/**
 * Keys and output pass through the terminal unchanged: the one in the machine does with them what
 * has to be done. Node's own raw mode still puts a carriage return before each line end of the
 * output, which full-screen programs do not survive.
 */
class RawTerminal {
  #before: string | undefined;
  readonly #restore = (): void => this.leave();

  enter(): void {
    this.#before = stty('-g');
    // However this process ends.
    process.on('exit', this.#restore);
    stty('raw', '-echo');
  }

  leave(): void {
    if (this.#before === undefined) return;
    stty(this.#before);
    this.#before = undefined;
    process.off('exit', this.#restore);
  }
}

/**
 * A terminal, if standard input and output are one; else what standard input holds.
 * @param escape is called for the key that ends the machine
 * @returns undefined, after saying so, in the background of a terminal
 */
export function hostInput(escape: () => void, say: (line: string) => void): GuestInput | undefined {
  const { stdin, stdout, stderr } = process;
  if (!stdin.isTTY) return { stream: stdin };
  if (!inForeground()) {
    say('in the background of a terminal: the command has no standard input');
    return undefined;
  }
  if (!stdout.isTTY) return { stream: stdin };
  const raw = new RawTerminal();
  let resized = (): void => undefined;
  return {
    stream: stdin,
    terminal: {
      size: () => ({ rows: stdout.rows, columns: stdout.columns }),
      error: stderr.isTTY === true,
      enter: (changed) => {
        resized = changed;
        stdout.on('resize', resized);
        raw.enter();
      },
      leave: () => {
        stdout.off('resize', resized);
        raw.leave();
      },
      escape,
    },
  };
}

/** Nothing is read any more: a read that waits would keep this process alive. */
export function releaseInput(): void {
  process.stdin.destroy();
}
