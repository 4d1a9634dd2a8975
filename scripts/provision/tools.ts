import { spawn } from 'node:child_process';
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { VmError } from '../vm/errors.js';

/** Tells a person what is being done; one line at a time. */
export type Progress = (line: string) => void;

/** The first executable of that name on PATH, as a shell would find it. */
export function findOnPath(name: string, path = process.env['PATH'] ?? ''): string | undefined {
  for (const folder of path.split(delimiter)) {
    if (folder === '') continue;
    const candidate = join(folder, name);
    if (isProgram(candidate)) return candidate;
  }
  return undefined;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false; // not there, or not for us
  }
}

/** @throws VmError 'provisioning' that says what to install. */
export function requireTool(name: string, purpose: string, install: string): string {
  const found = findOnPath(name);
  if (found === undefined) throw new VmError('provisioning', `${name} is missing: ${purpose} needs it; ${install}`);
  return found;
}

/** Changes when the program does: cheaper than asking it for its version. */
export function programIdentity(path: string): string {
  const real = realpathSync(path);
  const { size, mtimeMs } = statSync(real);
  return `${real}:${size}:${mtimeMs}`;
}

export interface ToolOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
  /** Called with each line of its standard output, as it is printed. */
  readonly onLine?: (line: string) => void;
}

/** Calls `onLine` for each whole line of a stream. */
function splitLines(onLine: (line: string) => void): (chunk: Buffer) => void {
  const decoder = new TextDecoder();
  let rest = '';
  return (chunk) => {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  };
}

/**
 * Runs a program to its end and returns its standard output.
 * @throws VmError 'provisioning' with the end of what it printed, if it cannot be started or fails.
 */
export async function runTool(command: string, args: readonly string[], options: ToolOptions = {}): Promise<Buffer> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    signal: options.signal,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stdout: Buffer[] = [];
  const all: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => {
    stdout.push(chunk);
    all.push(chunk);
  });
  child.stderr.on('data', (chunk: Buffer) => all.push(chunk));
  if (options.onLine !== undefined) child.stdout.on('data', splitLines(options.onLine));
  const ended = await new Promise<string | number>((settle, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => settle(code ?? signal ?? 'unknown'));
  }).catch((cause: unknown) => {
    if (options.signal?.aborted === true) throw new VmError('aborted', `${command} was stopped`, { cause });
    throw new VmError('provisioning', `cannot run ${command}: ${String(cause)}`, { cause });
  });
  if (ended !== 0) {
    const output = Buffer.concat(all).toString().trimEnd().split('\n').slice(-30).join('\n');
    throw new VmError('provisioning', `${command} ${args.join(' ')} ended with ${ended}:\n${output}`);
  }
  return Buffer.concat(stdout);
}
