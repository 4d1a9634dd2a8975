/** Writes the "newc" archives that the kernel unpacks as its first file system (buffer-format.rst). */

export interface ArchiveEntry {
  readonly path: string;
  /** File type and permissions, as in st_mode. */
  readonly mode: number;
  readonly data?: Uint8Array;
  /** Of a device node: major and minor number. */
  readonly device?: readonly [number, number];
}

export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFCHR = 0o020000;

const TRAILER = 'TRAILER!!!';
const MAGIC = '070701';

function padded(length: number): number {
  return (length + 3) & ~3;
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}

function encodeEntry(entry: ArchiveEntry, inode: number): Uint8Array[] {
  const name = Buffer.from(`${entry.path}\0`);
  const data = entry.data ?? new Uint8Array(0);
  const [major, minor] = entry.device ?? [0, 0];
  // inode, mode, uid, gid, nlink, mtime, size, device of the file system (2), device node (2), name size, check
  const fields = [inode, entry.mode, 0, 0, 1, 0, data.length, 0, 0, major, minor, name.length, 0];
  const header = Buffer.from(MAGIC + fields.map(hex).join(''));
  const headLength = padded(header.length + name.length);
  return [
    header,
    name,
    new Uint8Array(headLength - header.length - name.length),
    data,
    new Uint8Array(padded(data.length) - data.length),
  ];
}

/** The same entries give the same bytes: owners are root, times are zero. Folders go before what is in them. */
export function encodeArchive(entries: readonly ArchiveEntry[]): Buffer {
  const all = [...entries, { path: TRAILER, mode: 0 }];
  return Buffer.concat(all.flatMap((entry, index) => encodeEntry(entry, index + 1)));
}
