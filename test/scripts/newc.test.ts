import { describe, expect, it } from 'vitest';

import { encodeArchive, S_IFCHR, S_IFDIR, S_IFREG } from '../../scripts/provision/newc.js';

interface Read {
  path: string;
  mode: number;
  data: string;
  device: [number, number];
}

/** Reads an archive as the kernel does: fixed header, name and data each padded to four bytes. */
function readArchive(archive: Buffer): Read[] {
  const entries: Read[] = [];
  for (let at = 0; at < archive.length;) {
    expect(archive.toString('latin1', at, at + 6)).toBe('070701');
    const field = (index: number): number =>
      parseInt(archive.toString('latin1', at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const nameEnd = at + 110 + field(11);
    const dataStart = (nameEnd + 3) & ~3;
    entries.push({
      path: archive.toString('utf8', at + 110, nameEnd - 1),
      mode: field(1),
      data: archive.toString('utf8', dataStart, dataStart + field(6)),
      device: [field(9), field(10)],
    });
    at = (dataStart + field(6) + 3) & ~3;
  }
  return entries;
}

describe('encodeArchive', () => {
  it('writes entries that read back, and the trailer', () => {
    const archive = encodeArchive([
      { path: 'dev', mode: S_IFDIR | 0o755 },
      { path: 'dev/console', mode: S_IFCHR | 0o600, device: [5, 1] },
      { path: 'init', mode: S_IFREG | 0o755, data: Buffer.from('12345') },
      { path: 'empty', mode: S_IFREG | 0o644 },
    ]);
    expect(readArchive(archive)).toEqual([
      { path: 'dev', mode: 0o040755, data: '', device: [0, 0] },
      { path: 'dev/console', mode: 0o020600, data: '', device: [5, 1] },
      { path: 'init', mode: 0o100755, data: '12345', device: [0, 0] },
      { path: 'empty', mode: 0o100644, data: '', device: [0, 0] },
      { path: 'TRAILER!!!', mode: 0, data: '', device: [0, 0] },
    ]);
  });

  it.each([0, 1, 2, 3, 4, 5])('keeps what follows aligned after %i bytes of data', (length) => {
    const archive = encodeArchive([
      { path: 'a', mode: S_IFREG, data: Buffer.alloc(length, 'x') },
      { path: 'b', mode: S_IFREG, data: Buffer.from('end') },
    ]);
    expect(archive.length % 4).toBe(0);
    expect(readArchive(archive).map(({ data }) => data)).toEqual(['x'.repeat(length), 'end', '']);
  });

  it('gives the same bytes for the same entries', () => {
    const entries = [{ path: 'init', mode: S_IFREG | 0o755, data: Buffer.from('x') }];
    expect(encodeArchive(entries).equals(encodeArchive(entries))).toBe(true);
  });
});
