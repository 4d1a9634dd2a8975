/** Standard input, and a terminal, of the command in the machine. */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { CLI, vm } from './support.js';

describe('standard input', { timeout: 300_000 }, () => {
  it('reaches the command, with its end', () => {
    expect(vm(['--', 'cat'], { input: 'hello\n' })).toMatchObject({ status: 0, stdout: 'hello\n' });
    expect(vm(['--', 'sh', '-c', 'wc -c'], { input: '' }).stdout.trim()).toBe('0');
  });

  it('is passed on byte for byte, however much it is', () => {
    const input = randomBytes(5 * 2 ** 20 + 1);
    const { stdout } = vm(['--', 'sha256sum'], { input });
    expect(stdout.split(' ')[0]).toBe(createHash('sha256').update(input).digest('hex'));
  });

  it('need not be read', () => {
    const input = randomBytes(2 ** 20)
      .toString('hex')
      .replaceAll(/(.{63})/g, '$1\n');
    expect(vm(['--', 'head', '-n', '1'], { input })).toMatchObject({ status: 0, stdout: input.slice(0, 64) });
    expect(vm(['--', 'true'], { input })).toMatchObject({ status: 0 });
  });

  it('is a program for the shell of --shell', () => {
    const { status, stdout } = vm(['--shell'], { input: 'tty; echo $((6 * 7))\nexit 5\n' });
    expect([status, stdout]).toEqual([5, 'not a tty\n42\n']);
  });

  it('that stays open does not keep vm from ending', async () => {
    const child = spawn(process.execPath, [CLI, 'vm', '--', 'echo', 'done'], { stdio: ['pipe', 'pipe', 'ignore'] });
    const status = await new Promise((resolve) => child.once('exit', resolve));
    expect(status).toBe(0);
  });
});

/**
 * Runs it on a terminal of its own, of 30 by 100 characters, which python3 makes: sends each answer
 * when its prompt has been seen. "WINDOW" makes the window 40 by 120.
 */
const DRIVER = `
import fcntl, json, os, pty, select, signal, struct, sys, termios, time
steps = json.loads(sys.argv[1])
pid, master = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack('HHHH', 30, 100, 0, 0))
seen = b''
position = 0
while True:
    try:
        data = os.read(master, 65536)
    except OSError:
        break
    if not data:
        break
    seen += data
    while steps and steps[0][0].encode() in seen[position:]:
        prompt, answer = steps.pop(0)
        position = seen.index(prompt.encode(), position) + len(prompt)
        if answer == 'WINDOW':
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
            os.kill(pid, signal.SIGWINCH)
        else:
            os.write(master, answer.encode())
_, status = os.waitpid(pid, 0)
print(json.dumps({'status': os.waitstatus_to_exitcode(status), 'seen': seen.decode(errors='replace'), 'left': len(steps)}))
`;

async function onTerminal(
  args: readonly string[],
  steps: readonly (readonly [prompt: string, answer: string])[],
): Promise<{ status: number; seen: string; left: number }> {
  const child = spawn('python3', ['-c', DRIVER, JSON.stringify(steps), process.execPath, CLI, 'vm', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, SHELL: '/bin/bash', PS1: 'ready> ' },
  });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
  await new Promise((resolve) => child.once('close', resolve));
  return JSON.parse(out) as { status: number; seen: string; left: number };
}

describe('on a terminal', { timeout: 300_000 }, () => {
  it('the command has one of that size, which follows the window', async () => {
    const script =
      'test -t 0 && test -t 1 && test -t 2 && stty size; trap "stty size; exit 4" WINCH; echo set; while :; do sleep 1; done';
    const { status, seen, left } = await onTerminal(['--', 'bash', '-c', script], [['set\r\n', 'WINDOW']]);
    expect(seen).toContain('30 100\r\nset\r\n');
    expect(seen).toContain('40 120\r\n');
    expect([status, left]).toEqual([4, 0]);
  });

  it('Ctrl-C is for the command', async () => {
    const { status, seen } = await onTerminal(
      ['--', 'sh', '-c', 'trap "echo caught; exit 9" INT; echo waiting; while :; do sleep 1; done'],
      [['waiting\r\n', '\x03']],
    );
    expect(seen).toContain('caught\r\n');
    expect(status).toBe(9);
  });

  it('--shell is a shell with job control, in which Ctrl-C ends only what it runs', async () => {
    const { status, seen, left } = await onTerminal(
      ['--shell'],
      [
        ['# ', 'uname -n; sleep 1000 & jobs\n'],
        ['Running', 'fg\n'],
        ['sleep 1000\r\n', '\x1a'],
        ['Stopped', 'kill %1; sleep 2000\n'],
        ['sleep 2000\r\n', '\x03'],
        ['^C', 'exit 6\n'],
      ],
    );
    expect(left, seen).toBe(0);
    expect(seen).toContain('node-hmm\r\n');
    expect(seen).not.toMatch(/no job control|cannot set terminal/);
    expect(status).toBe(6);
  });

  it('Ctrl-] ends the machine', async () => {
    const { status } = await onTerminal(['--', 'sh', '-c', 'echo waiting; sleep 1000'], [['waiting\r\n', '\x1d']]);
    expect(status).toBe(130);
  });
});
