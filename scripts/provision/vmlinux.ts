import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { gunzipSync } from 'node:zlib';

import { VmError } from '../vm/errors.js';
import { findOnPath } from './tools.js';

/** Offsets in the header of a bzImage (Linux, Documentation/arch/x86/boot.rst). */
const SETUP_SECTORS = 0x1f1;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const SECTOR = 512;

type Compression = 'gzip' | 'xz' | 'zstd';

const MAGICS: readonly (readonly [Compression, Buffer])[] = [
  ['gzip', Buffer.from([0x1f, 0x8b])],
  ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
];

/** Finds the compressed kernel in a bzImage; undefined if its compression is none of the usual ones. */
export function bzImagePayload(image: Buffer): { compression: Compression; data: Buffer } | undefined {
  // 0 means 4, for kernels older than any here.
  const setup = (image[SETUP_SECTORS] || 4) + 1;
  const start = setup * SECTOR + image.readUInt32LE(PAYLOAD_OFFSET);
  const whole = image.subarray(start, start + image.readUInt32LE(PAYLOAD_LENGTH));
  const found = MAGICS.find(([, magic]) => whole.subarray(0, magic.length).equals(magic));
  if (found === undefined) return undefined;
  // The build appends the uncompressed size, except to gzip, which ends in it anyway.
  return { compression: found[0], data: found[0] === 'gzip' ? whole : whole.subarray(0, -4) };
}

async function decompressWith(tool: string, data: Buffer): Promise<Buffer> {
  const child = spawn(tool, ['-dc'], { stdio: ['pipe', 'pipe', 'inherit'] });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  // Told by its exit status, which says more than the broken pipe.
  child.stdin.on('error', () => undefined);
  child.stdin.end(data);
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new VmError('provisioning', `${tool} could not unpack the kernel (status ${code})`);
  return Buffer.concat(chunks);
}

/**
 * The kernel without its own decompressor: run by a translator, that takes longer than the boot. QEMU starts such
 * an image through its PVH entry.
 * @returns undefined if the image must be booted as it is: an unusual compression, or no tool for it here.
 */
export async function extractVmlinux(image: Buffer): Promise<Buffer | undefined> {
  const payload = bzImagePayload(image);
  if (payload === undefined) return undefined;
  const { compression, data } = payload;
  if (compression === 'gzip') return gunzipSync(data);
  const tool = findOnPath(compression);
  return tool === undefined ? undefined : await decompressWith(tool, data);
}
