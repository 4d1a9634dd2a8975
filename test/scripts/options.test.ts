import { describe, expect, it } from 'vitest';

import { UsageError } from '../../scripts/usage-error.js';
import { parseVmCommandLine } from '../../scripts/vm/options.js';

describe('the command line of vm', () => {
  it('reads options up to --, and leaves the command alone', () => {
    const args =
      '--kernel debian-6.1 --memory=512M --cpus 1 --hugepages 8 --no-module --timeout 1.5 --accel tcg --verbose --refresh';
    expect(parseVmCommandLine([...args.split(' '), '--', 'node', '--version', '--', '--help'])).toEqual({
      help: false,
      kernel: 'debian-6.1',
      memory: '512M',
      cpus: 1,
      hugePages: 8,
      module: false,
      timeout: 1.5,
      accelerator: 'tcg',
      verbose: true,
      refresh: true,
      writable: [],
      append: [],
      shell: false,
      showCommand: false,
      command: ['node', '--version', '--', '--help'],
    });
  });

  it('takes the first word that is no option for the command', () => {
    expect(parseVmCommandLine(['--no-module', 'ls', '-l'])).toMatchObject({ module: false, command: ['ls', '-l'] });
  });

  it('collects what may be repeated, and keeps values that look like options or hold =', () => {
    const line = parseVmCommandLine([
      ...['--writable', 'a', '--writable=b', '--append', '-x', '--module-args', 'k=v w=1', '--', 'true'],
    ]);
    expect(line).toMatchObject({ writable: ['a', 'b'], append: ['-x'], moduleParameters: 'k=v w=1' });
  });

  it('needs no command for help, a shell, or to show what it would start', () => {
    expect(parseVmCommandLine(['--help']).help).toBe(true);
    expect(parseVmCommandLine(['-h']).help).toBe(true);
    expect(parseVmCommandLine(['--shell'])).toMatchObject({ shell: true, command: [] });
    expect(parseVmCommandLine(['--show-command'])).toMatchObject({ showCommand: true, command: [] });
  });

  it('leaves -h, --version and what else is the command’s to the command', () => {
    const words = ['node', '-h', '--version', '-v', '--bogus'];
    for (const args of [words, ['--', ...words]]) {
      expect(parseVmCommandLine(args)).toMatchObject({ help: false, command: words });
    }
  });

  it('takes a value after = whatever it is', () => {
    expect(parseVmCommandLine(['--module-args=--', '--append=--verbose', 'true'])).toMatchObject({
      moduleParameters: '--',
      append: ['--verbose'],
      verbose: false,
    });
  });

  it.each([
    [[], /no command/],
    [['--module-args', '--', 'true'], /--module-args needs a value, and -- follows; .*write --module-args=--/],
    [['--append', '--verbose', '--', 'true'], /--append needs a value, and --verbose follows/],
    [['--kernal', 'x', '--', 'true'], /unknown option --kernal; is it --kernel that you mean\?/],
    [['-x', '--', 'true'], /unknown option -x/],
    [['--shell', '--', 'true'], /--shell takes no command/],
    [['--timeout', '1e9', '--', 'true'], /--timeout/],
    [['--timeout', '', '--', 'true'], /--timeout/],
    [['--'], /no command/],
    [['--bogus', '--', 'true'], /unknown option --bogus/],
    [['--kernel'], /--kernel needs a value/],
    [['--kernel', 'debian-2.4', '--', 'true'], /unknown kernel "debian-2.4"; known are debian-6.1/],
    [['--no-module=1', '--', 'true'], /--no-module takes no value/],
    [['--memory', '4', '--', 'true'], /--memory takes/],
    [['--memory', '4T', '--', 'true'], /--memory takes/],
    [['--cpus', '0', '--', 'true'], /--cpus/],
    [['--cpus', '1.5', '--', 'true'], /--cpus/],
    [['--cpus', '65', '--', 'true'], /--cpus/],
    [['--hugepages', '0', '--', 'true'], /--hugepages/],
    [['--hugepages', '1.5', '--', 'true'], /--hugepages takes a number of pages/],
    [['--timeout', 'soon', '--', 'true'], /--timeout/],
    [['--timeout', '-1', '--', 'true'], /--timeout/],
    [['--accel', 'xen', '--', 'true'], /--accel takes kvm, tcg, icount, not "xen"/],
  ])('refuses %j', (args, message) => {
    expect(() => parseVmCommandLine(args)).toThrow(UsageError);
    expect(() => parseVmCommandLine(args)).toThrow(message);
  });
});
