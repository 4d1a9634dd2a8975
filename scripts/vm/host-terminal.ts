/** Standard input of this process, for the command in the machine. */
import { readFileSync } from 'node:fs';

import type { GuestInput } from './guest-input.js';

/** Reading the terminal in the background stops a process (SIGTTIN). */
function inForeground(): boolean {
  // After the name, which is in parentheses and may hold anything: state, ppid, pgrp, session, tty_nr, tpgid.
  const fields = readFileSync('/proc/self/stat', 'utf8').replace(/^.*\)/s, '').trim().split(' ');
  return fields[2] === fields[5];
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
  let resized = (): void => undefined;
  return {
    stream: stdin,
    terminal: {
      size: () => ({ rows: stdout.rows, columns: stdout.columns }),
      error: stderr.isTTY === true,
      enter: (changed) => {
        resized = changed;
        stdout.on('resize', resized);
        stdin.setRawMode(true);
      },
      leave: () => {
        stdout.off('resize', resized);
        stdin.setRawMode(false);
      },
      escape,
    },
  };
}

/** Nothing is read any more: a read that waits would keep this process alive. */
export function releaseInput(): void {
  process.stdin.destroy();
}
