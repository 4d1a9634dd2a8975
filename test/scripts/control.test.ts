import { describe, expect, it } from 'vitest';

import { encodeJob, LineSplitter, parseGuestLine, type Job } from '../../scripts/vm/control.js';

const job: Job = {
  cwd: '/w',
  scratch: ['/tmp'],
  keep: ['/tmp/a'],
  writable: ['/w/o'],
  env: { A: '1=2' },
  argv: ['x', ''],
};

describe('the job', () => {
  it('is NUL-terminated keys and values with an end', () => {
    expect(
      encodeJob({ ...job, module: '/m.ko', moduleParameters: 'k=v' })
        .toString()
        .split('\0'),
    ).toEqual([
      ...['module', '/m.ko', 'parameters', 'k=v', 'cwd', '/w', 'scratch', '/tmp', 'keep', '/tmp/a'],
      ...['writable', '/w/o', 'env', 'A=1=2', 'arg', 'x', 'arg', '', 'end', '', ''],
    ]);
  });

  it('names no module when there is none to load', () => {
    expect(encodeJob(job).toString()).not.toContain('module');
  });

  it('asks for a terminal, or for standard input, or for neither', () => {
    const terminal = { rows: 30, columns: 100, error: true };
    expect(encodeJob({ ...job, input: true, terminal }).toString()).toContain(
      'terminal\x0030 100\0terminal-error\0\0arg',
    );
    expect(encodeJob({ ...job, input: true }).toString()).toContain('\0input\0\0arg');
    expect(encodeJob(job).toString()).not.toMatch(/input|terminal/);
  });

  it('refuses what would break its framing', () => {
    expect(() => encodeJob({ ...job, argv: ['a\0b'] })).toThrow(TypeError);
  });
});

describe('the guest', () => {
  it.each([
    ['boot 6.12.1-amd64', { kind: 'boot', release: '6.12.1-amd64' }],
    ['started', { kind: 'started' }],
    ['exit 37', { kind: 'exit', code: 37 }],
    ['signal 11', { kind: 'signal', signal: 11 }],
    ['output 10485760 0', { kind: 'output', stdout: 10485760, stderr: 0 }],
    ['unloaded', { kind: 'unloaded' }],
    ['loaded Resource busy', { kind: 'loaded', reason: 'Resource busy' }],
    ['failed mounting x: y', { kind: 'failed', reason: 'mounting x: y' }],
    ['done', { kind: 'done' }],
  ])('says %s', (line, message) => {
    expect(parseGuestLine(line)).toEqual(message);
  });

  it.each(['', 'hello', 'output 12'])('does not say "%s"', (line) => {
    expect(() => parseGuestLine(line)).toThrow(/nobody understands/);
  });
});

describe('LineSplitter', () => {
  it('joins lines that arrive in pieces, also within a character', () => {
    const lines = new LineSplitter();
    const bytes = Buffer.from('one\ntwö\nthree');
    const pieces = [...bytes].map((byte) => lines.push(Uint8Array.of(byte))).flat();
    expect(pieces).toEqual(['one', 'twö']);
    expect(lines.push(Buffer.from('\n'))).toEqual(['three']);
  });
});
