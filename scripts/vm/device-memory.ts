import { readFileSync } from 'node:fs';

/**
 * Physical memory that the guest's kernel leaves alone, for a module to present as device-coherent memory. Above
 * 4 GiB, where nothing else of the machine's lies; two spans with a gap, so that no folio can reach from one to the other.
 */
const SPANS = [0x1_1000_0000, 0x1_2800_0000] as const;
const SPAN_SIZE = 0x1000_0000;

/** QEMU's PC puts a quarter of 4 GiB above 4 GiB, and all that is beyond; of less memory it puts nothing there. */
const NEEDED_BYTES = 4 * 2 ** 30;

/** Names of the parameters that take the spans' addresses: of hmm_mirror, and of the kernel's own test_hmm. */
const PARAMETERS = [
  ['coherent0', 'coherent1'],
  ['spm_addr_dev0', 'spm_addr_dev1'],
] as const;

function bytes(memory: string): number {
  const unit = memory.endsWith('G') ? 2 ** 30 : 2 ** 20;
  return Number(memory.slice(0, -1)) * unit;
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** @param memory the machine's, as QEMU takes it: 4G, 512M */
export function reservesDeviceMemory(memory: string): boolean {
  return bytes(memory) >= NEEDED_BYTES;
}

/** For the kernel's command line; nothing for a machine that is too small. */
export function deviceMemoryCommandLine(memory: string): string[] {
  return reservesDeviceMemory(memory) ? SPANS.map((address) => `memmap=${hex(SPAN_SIZE)}$${hex(address)}`) : [];
}

/** The parameters of that kind that a module declares (.modinfo), each with its span's address. */
export function deviceMemoryParameters(module: Uint8Array): string[] {
  const image = Buffer.from(module.buffer, module.byteOffset, module.byteLength);
  return PARAMETERS.flatMap((names) =>
    names.flatMap((name, i) => (image.includes(`\0parmtype=${name}:`) ? [`${name}=${hex(SPANS[i]!)}`] : [])),
  );
}

/**
 * The module's parameters: the runner's own, and then the caller's, which therefore decide.
 * @param path of the module
 */
export function moduleParameters(path: string, memory: string, given: string | undefined): string {
  const own = reservesDeviceMemory(memory) ? deviceMemoryParameters(readFileSync(path)) : [];
  return [...own, ...(given === undefined || given === '' ? [] : [given])].join(' ');
}
