import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';

import { parseDependencies } from '../../scripts/provision/boot-modules.js';
import { bzImagePayload, extractVmlinux } from '../../scripts/provision/vmlinux.js';

function bzImage(payload: Buffer, setupSectors = 1): Buffer {
  const start = ((setupSectors || 4) + 1) * 512;
  const image = Buffer.alloc(start + 16);
  image[0x1f1] = setupSectors;
  image.writeUInt32LE(16, 0x248);
  image.writeUInt32LE(payload.length, 0x24c);
  return Buffer.concat([image, payload, Buffer.from('after')]);
}

describe('bzImages', () => {
  it.each([1, 0, 27])('finds the payload behind %i set-up sectors', async (sectors) => {
    const kernel = Buffer.from('\x7fELF kernel');
    expect((await extractVmlinux(bzImage(gzipSync(kernel), sectors)))?.equals(kernel)).toBe(true);
  });

  it('leaves out the size that follows xz and zstd', () => {
    const data = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3, 4]);
    expect(bzImagePayload(bzImage(data))).toEqual({ compression: 'zstd', data: data.subarray(0, 4) });
  });

  it('does not guess at an unknown compression', async () => {
    expect(await extractVmlinux(bzImage(Buffer.from('LZO?')))).toBeUndefined();
  });
});

describe('modules', () => {
  it('say what they depend on', () => {
    expect(parseDependencies(Buffer.from('license=GPL\0depends=9pnet,net-fs\0name=9p\0'))).toEqual(['9pnet', 'net_fs']);
    expect(parseDependencies(Buffer.from('x\0depends=\0name=y\0'))).toEqual([]);
    expect(parseDependencies(Buffer.from('x'))).toEqual([]);
  });
});
