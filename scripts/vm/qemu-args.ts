/** Pure builders of QEMU's command line: each returns one piece of it. */
/**
 * kvm: the processor itself. tcg: translated. icount: translated, one processor at a time, and the guest's clock counts its
 * instructions, so that what is measured there is the same however busy the host is.
 */
export const ACCELERATORS = ['kvm', 'tcg', 'icount'] as const;
export type Accelerator = (typeof ACCELERATORS)[number];

/** File descriptors that QEMU inherits, each one end of a socket pair with the runner. */
export const FD = { console: 3, control: 4, stdout: 5, stderr: 6, stdin: 7 } as const;

export interface MachineDescription {
  readonly accelerator: Accelerator;
  /** As QEMU takes it: 4G, 512M. */
  readonly memory: string;
  readonly cpus: number;
  /** Folders with QEMU's firmware; empty for an installed QEMU, which knows its own. */
  readonly firmware: readonly string[];
  readonly kernelImage: string;
  readonly initramfs: string;
  readonly kernelCommandLine: readonly string[];
}

/** A comma ends a value in QEMU's option syntax; a doubled one is a comma. */
export function escapeValue(value: string): string {
  return value.replaceAll(',', ',,');
}

export function machineArgs(machine: MachineDescription): string[] {
  return [
    ...machine.firmware.flatMap((folder) => ['-L', folder]),
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
    ...['-machine', 'pc,usb=off,vmport=off'],
    ...acceleratorArgs(machine.accelerator),
    ...['-m', machine.memory, '-smp', String(machine.cpus)],
  ];
}

/**
 * A translated processor hides "enhanced rep movsb": the kernel then copies pages by words, which the
 * translator runs twice as fast as bytewise string instructions.
 */
export function acceleratorArgs(accelerator: Accelerator): string[] {
  if (accelerator === 'kvm') return ['-accel', 'kvm', '-cpu', 'host'];
  // 2^0 ns an instruction.
  const threads = accelerator === 'tcg' ? ['-accel', 'tcg,thread=multi'] : ['-accel', 'tcg', '-icount', 'shift=0'];
  return [...threads, '-cpu', 'max,-erms,-fsrm'];
}

export function kernelArgs(machine: MachineDescription): string[] {
  return [
    ...['-kernel', machine.kernelImage, '-initrd', machine.initramfs],
    ...['-append', machine.kernelCommandLine.join(' ')],
  ];
}

/** The kernel's console, on a serial line. */
export function consoleArgs(): string[] {
  return ['-chardev', `socket,id=console,fd=${FD.console}`, '-serial', 'chardev:console'];
}

/**
 * Slots whose interrupts share one ACPI link: routing each further link costs a translated guest 0.14 s. With the
 * i440FX every fourth slot does; beyond the last, QEMU may choose.
 */
const SHARED_LINK_SLOTS: readonly number[] = [4, 8, 12, 16, 20, 24, 28];

function slot(device: number): string {
  const address = SHARED_LINK_SLOTS[device];
  return address === undefined ? '' : `,addr=0x${address.toString(16)}`;
}

/**
 * The ports of control, standard output and standard error, and, if there is one, of standard
 * input. Numbers as in guest/guest.h.
 */
export function portArgs(input = false): string[] {
  const port = (name: 'control' | 'stdout' | 'stderr' | 'stdin', number: number): string[] => [
    ...['-chardev', `socket,id=${name},fd=${FD[name]}`],
    ...['-device', `virtserialport,chardev=${name},name=node-hmm.${name},nr=${number}`],
  ];
  return [
    ...['-device', `virtio-serial-pci${slot(0)}`],
    ...[...port('control', 1), ...port('stdout', 2), ...port('stderr', 3)],
    ...(input ? port('stdin', 4) : []),
  ];
}

/** The host's root, read-only, and the folders that are writable, numbered as guest/mounts.c expects. */
export function shareArgs(writable: readonly string[]): string[] {
  const share = (tag: string, path: string, readonly: boolean, device: number): string[] => [
    '-fsdev',
    // "none" keeps the host's owners and modes and forgives a chown that an unprivileged QEMU may not do;
    // "remap" keeps inode numbers apart when the host's root spans several file systems.
    `local,id=${tag},path=${escapeValue(path)},security_model=none${readonly ? ',readonly=on' : ''},multidevs=remap`,
    '-device',
    `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}${slot(device)}`,
  ];
  return [
    ...share('hostroot', '/', true, 1),
    ...writable.flatMap((path, i) => share(`writable${i}`, path, false, 2 + i)),
  ];
}

/**
 * What every machine's kernel is told. Determinism: no huge pages without madvise, no NUMA balancing, the same
 * addresses at every boot, no mitigations that differ by processor. A panic or an oops ends the machine at once
 * (QEMU runs with -no-reboot), with its report on the console.
 */
export function baseCommandLine(accelerator: Accelerator, verbose: boolean): string[] {
  return [
    'console=ttyS0',
    verbose ? 'loglevel=8' : 'loglevel=5',
    ...['panic=-1', 'oops=panic'],
    ...['transparent_hugepage=madvise', 'numa_balancing=disable', 'nokaslr', 'mitigations=off', 'no5lvl'],
    // A busy host stalls a translated guest for long: that is no lockup, and no unstable clock.
    ...(accelerator !== 'kvm' ? ['watchdog_thresh=60', 'tsc=reliable'] : []),
  ];
}
