import type { CommandSpec, OptionSpecs } from '../command-line.js';
import { DEFAULT_KERNEL, KERNELS } from './kernels.js';
import { ACCELERATORS } from './qemu-args.js';

const kernels = KERNELS.map(({ name, summary }) => `  ${name.padEnd(15)} ${summary}`).join('\n');

const OPTIONS = {
  kernel: {
    type: 'string',
    value: 'NAME',
    completes: KERNELS.map(({ name }) => name),
    help: `the kernel to boot (default ${DEFAULT_KERNEL}); the list is below`,
  },
  shell: { type: 'boolean', help: 'an interactive shell in the machine, in place of COMMAND' },
  memory: { type: 'string', value: 'SIZE', help: 'such as 512M or 4G (default 4G)' },
  cpus: { type: 'string', value: 'N', help: '(default 2)' },
  hugepages: { type: 'string', value: 'N', help: 'reserve N huge pages of 2 MiB at boot' },
  'module-args': {
    type: 'string',
    value: '"K=V …"',
    help: "parameters of the module, after those of the runner's own",
  },
  'no-module': { type: 'boolean', help: 'do not build and load the module, and do not look for the addon' },
  writable: {
    type: 'string',
    value: 'DIR',
    multiple: true,
    completes: 'folder',
    help: 'a folder that COMMAND may change',
  },
  timeout: { type: 'string', value: 'SECONDS', help: 'end the machine after this time' },
  append: { type: 'string', value: '"ARGS"', multiple: true, help: "more of the kernel's command line" },
  accel: {
    type: 'string',
    value: 'NAME',
    choices: ACCELERATORS,
    help: 'kvm or tcg: do not choose by probing. icount: tcg, and the clock counts instructions',
  },
  refresh: { type: 'boolean', help: 'fetch the kernel again (the newest version in the archive)' },
  'show-command': { type: 'boolean', help: "print QEMU's command line, as a shell takes it, and boot nothing" },
  verbose: { type: 'boolean', help: "the kernel's console, on standard error" },
} as const satisfies OptionSpecs;

export const VM: CommandSpec<typeof OPTIONS> = {
  name: 'vm',
  summary: 'run COMMAND on a real kernel with hmm_mirror loaded, in a virtual machine',
  usage: ['node-hmm vm [OPTIONS] -- COMMAND…', 'node-hmm vm [OPTIONS] --shell'],
  about:
    "Boots a Linux kernel in a virtual machine, loads hmm_mirror, and runs COMMAND there with this machine's files at their usual " +
    "paths, in the current folder. Files are read-only; /tmp, /run and /var/tmp are the guest's own. openHmm() means the kernel " +
    'there, or an error.',
  options: OPTIONS,
  operands: 'command',
  after: `Kernels:
${kernels}

COMMAND reads standard input. Where standard input and output are a terminal, it has one too: Ctrl-C is for COMMAND then, and Ctrl-] ends the machine.

Exit status:
  COMMAND's own, or 128 + n if signal n ended it
  64   wrong usage
  69   the machine, or its set-up, failed: nothing is known about COMMAND
  70   the kernel reported a fault (panic, oops, BUG, WARNING, KASAN, lockdep, a leak, …), whatever COMMAND did, or the
       module could not be unloaded
  124  the time of --timeout ran out
  130 and 143  after SIGINT and SIGTERM
For git bisect run, 70 is a bad kernel, and 69 is to be 125 (skip):
  node-hmm vm -- ./test; s=$?; [ $s = 69 ] && exit 125; exit $s

Kernels, QEMU and modules are kept in NODE_HMM_CACHE (default ~/.cache/node-hmm); deleting it is safe. NODE_HMM_QEMU is the QEMU to use: a path, or "cache" for the one that is fetched.`,
};
