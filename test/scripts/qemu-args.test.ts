import { describe, expect, it } from 'vitest';

import {
  acceleratorArgs,
  baseCommandLine,
  escapeValue,
  kernelArgs,
  machineArgs,
  portArgs,
  shareArgs,
  type MachineDescription,
} from '../../scripts/vm/qemu-args.js';

const machine: MachineDescription = {
  accelerator: 'tcg',
  memory: '4G',
  cpus: 2,
  firmware: [],
  kernelImage: '/k/vmlinux',
  initramfs: '/k/init.cpio',
  kernelCommandLine: ['console=ttyS0', 'memmap=0x10000000$0x110000000'],
};

describe('QEMU arguments', () => {
  it('doubles commas in values', () => {
    expect(escapeValue('/a,b,,c')).toBe('/a,,b,,,,c');
  });

  it('hides fast string instructions from a translated guest, and nothing from KVM', () => {
    expect(acceleratorArgs('tcg')).toEqual(['-accel', 'tcg,thread=multi', '-cpu', 'max,-erms,-fsrm']);
    expect(acceleratorArgs('icount')).toEqual(['-accel', 'tcg', '-icount', 'shift=0', '-cpu', 'max,-erms,-fsrm']);
    expect(acceleratorArgs('kvm')).toEqual(['-accel', 'kvm', '-cpu', 'host']);
  });

  it('describes a machine without default devices that ends instead of restarting', () => {
    const args = machineArgs({ ...machine, firmware: ['/f1', '/f2'] });
    expect(args.slice(0, 4)).toEqual(['-L', '/f1', '-L', '/f2']);
    expect(args).toEqual(expect.arrayContaining(['-nodefaults', '-no-reboot', '-m', '4G', '-smp', '2']));
  });

  it('passes the kernel command line as one argument', () => {
    expect(kernelArgs(machine)).toEqual([
      ...['-kernel', '/k/vmlinux', '-initrd', '/k/init.cpio'],
      ...['-append', 'console=ttyS0 memmap=0x10000000$0x110000000'],
    ]);
  });

  it('gives the ports the numbers that the guest opens', () => {
    expect(portArgs().filter((argument) => argument.startsWith('virtserialport'))).toEqual([
      'virtserialport,chardev=control,name=node-hmm.control,nr=1',
      'virtserialport,chardev=stdout,name=node-hmm.stdout,nr=2',
      'virtserialport,chardev=stderr,name=node-hmm.stderr,nr=3',
    ]);
  });

  it('has a port of standard input only where there is one', () => {
    expect(portArgs(true).slice(0, portArgs().length)).toEqual(portArgs());
    expect(portArgs(true).slice(portArgs().length)).toEqual([
      ...['-chardev', 'socket,id=stdin,fd=7'],
      ...['-device', 'virtserialport,chardev=stdin,name=node-hmm.stdin,nr=4'],
    ]);
  });

  it('shares the root read-only and the writable folders by number', () => {
    const shares = shareArgs(['/w/a,b', '/w/c']).filter((argument) => argument.startsWith('local,'));
    expect(shares).toEqual([
      'local,id=hostroot,path=/,security_model=none,readonly=on,multidevs=remap',
      'local,id=writable0,path=/w/a,,b,security_model=none,multidevs=remap',
      'local,id=writable1,path=/w/c,security_model=none,multidevs=remap',
    ]);
  });

  it('gives no two devices the same slot, whatever their number', () => {
    const devices = [...portArgs(), ...shareArgs(Array.from({ length: 12 }, (_, i) => `/w/${i}`))];
    const slots = devices.flatMap((argument) => /addr=(0x[0-9a-f]+)/.exec(argument)?.[1] ?? []);
    expect(new Set(slots).size).toBe(slots.length);
    expect(slots).toHaveLength(7);
  });

  it('asks the kernel for every message only when told to', () => {
    expect(baseCommandLine('tcg', true)).toContain('loglevel=8');
    expect(baseCommandLine('kvm', false)).toContain('loglevel=5');
  });
});
