import { spawn, type ChildProcess } from 'node:child_process';
import type { Duplex } from 'node:stream';

import { requireTool } from '../provision/tools.js';
import { VmError } from './errors.js';

export interface QemuStreams {
  readonly console: Duplex;
  readonly control: Duplex;
  readonly stdout: Duplex;
  readonly stderr: Duplex;
  readonly stdin: Duplex;
}

export interface QemuProcess {
  readonly streams: QemuStreams;
  /** undefined: it could not be started, and `ended` says why. */
  readonly pid: number | undefined;
  /** Settles when QEMU has ended and all its streams are read; what QEMU itself printed, and how it ended. */
  readonly ended: Promise<{ readonly status: string; readonly messages: string }>;
  readonly kill: () => void;
}

/**
 * QEMU must not outlive this process, however that ends. The kernel kills it when its parent goes (setpriv sets
 * that up and becomes QEMU); a parent that went before is noticed because the shell, which runs after the set-up,
 * finds another parent than it was told.
 */
const ORPHAN_CHECK = '[ "$PPID" = "$0" ] || exit 1; exec "$@"';

/**
 * Starts QEMU with the sockets that vm/qemu-args.ts names.
 * @throws VmError 'provisioning' if setpriv (util-linux) is missing.
 */
export function startQemu(program: string, args: readonly string[], env: NodeJS.ProcessEnv): QemuProcess {
  const setpriv = requireTool('setpriv', 'ending QEMU together with its parent', 'install util-linux');
  const command = ['--pdeathsig', 'KILL', '/bin/sh', '-c', ORPHAN_CHECK, String(process.pid), program, ...args];
  const child = spawn(setpriv, command, {
    env,
    // A session of its own: Ctrl-C at the terminal is for the runner to decide on, not for QEMU.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
  });
  const messages: Buffer[] = [];
  child.stdout?.on('data', (chunk: Buffer) => messages.push(chunk));
  child.stderr?.on('data', (chunk: Buffer) => messages.push(chunk));
  const ended = new Promise<{ status: string; messages: string }>((settle, reject) => {
    child.on('error', (cause) => {
      reject(new VmError('died', `cannot start ${setpriv}: ${cause.message}`, { cause }));
    });
    child.on('close', (code, signal) => {
      const status = signal === null ? `status ${code}` : `signal ${signal}`;
      settle({ status, messages: Buffer.concat(messages).toString().trimEnd() });
    });
  });
  return {
    pid: child.pid,
    streams: {
      console: stream(child, 3),
      control: stream(child, 4),
      stdout: stream(child, 5),
      stderr: stream(child, 6),
      stdin: stream(child, 7),
    },
    ended,
    kill: () => child.kill('SIGKILL'),
  };
}

function stream(child: ChildProcess, fd: number): Duplex {
  const socket = child.stdio[fd] as Duplex;
  // A reset by a QEMU that died is reported by its end, not by each of its sockets.
  socket.on('error', () => socket.destroy());
  return socket;
}
