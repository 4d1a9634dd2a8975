/** node-hmm vm as a program, in real machines: each test boots one. */
import { spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const CLI = fileURLToPath(new URL('../../dist/scripts/cli.js', import.meta.url));

export interface Run {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `node-hmm vm ARGS` to its end. */
export function vm(args: readonly string[], options: { input?: string | Buffer; env?: NodeJS.ProcessEnv } = {}): Run {
  const { status, stdout, stderr }: SpawnSyncReturns<string> = spawnSync(process.execPath, [CLI, 'vm', ...args], {
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
    ...(options.input === undefined ? { stdio: ['ignore', 'pipe', 'pipe'] } : { input: options.input }),
    ...(options.env === undefined ? {} : { env: { ...process.env, ...options.env } }),
  });
  return { status, stdout, stderr };
}

/**
 * Starts it, and does something to it when `text` has appeared on its standard output or error.
 * @returns how it ended, and what it printed in all
 */
export async function vmUntil(
  args: readonly string[],
  text: string,
  act: (kill: (signal: NodeJS.Signals) => void) => void,
): Promise<Run> {
  const child = spawn(process.execPath, [CLI, 'vm', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr, acted] = ['', '', false];
  const look = (): void => {
    if (acted || !(stdout + stderr).includes(text)) return;
    acted = true;
    act((signal) => child.kill(signal));
  };
  child.stdout.on('data', (chunk: Buffer) => ((stdout += chunk.toString()), look()));
  child.stderr.on('data', (chunk: Buffer) => ((stderr += chunk.toString()), look()));
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { status, stdout, stderr };
}
