/** The frames and records by their bytes, however the stream is cut. */
import { describe, expect, it } from 'vitest';
import { MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, MREMAP_MAYMOVE } from '../../lib/constants.js';
import { HmmError } from '../../lib/errors.js';
import { Batch } from '../../lib/kernel/batch.js';
import {
  FRAME_FORK,
  FRAME_RUN,
  MAX_FILES,
  RECORD_BYTES,
  RECORD_DATA,
  RECORD_RESULT,
  ReplyReader,
  encodeControl,
  encodeOperations,
  type Reply,
} from '../../lib/kernel/protocol.js';
import type { Operation } from '../../lib/operations.js';

type Op = Operation<string>;

function words(bytes: Uint8Array, at: number, count: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return Array.from({ length: count }, (_, index) => view.getUint32(at + 4 * index, true));
}

function u64(bytes: Uint8Array, at: number): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at, true);
}

describe('frames', () => {
  it.each<[string, Op, number[], bigint[]]>([
    ['mmap by default', { op: 'mmap', length: 1 }, [1, 3, MAP_PRIVATE | MAP_ANONYMOUS, 0], [0n, 1n, 0n, 0n]],
    ['mmap of a file', { op: 'mmap', length: 1, file: 'a', offset: 9 }, [1, 3, MAP_SHARED, 1], [0n, 1n, 9n, 0n]],
    ['munmap', { op: 'munmap', address: 2 ** 52 + 1, length: 7 }, [2, 0, 0, 0], [2n ** 52n + 1n, 7n, 0n, 0n]],
    ['mprotect', { op: 'mprotect', address: 1, length: 2, protection: -1 }, [3, 2 ** 32 - 1, 0, 0], [1n, 2n, 0n, 0n]],
    ['madvise', { op: 'madvise', address: 1, length: 2, advice: 4 }, [4, 4, 0, 0], [1n, 2n, 0n, 0n]],
    [
      'mremap',
      { op: 'mremap', address: 1, oldLength: 2, newLength: 3, newAddress: 4 },
      [5, 0, MREMAP_MAYMOVE, 0],
      [1n, 2n, 3n, 4n],
    ],
    ['read', { op: 'read', address: 1, length: 2 }, [6, 0, 0, 0], [1n, 2n, 0n, 0n]],
    ['truncate', { op: 'truncate', file: 'a', length: 2 }, [8, 0, 0, 1], [0n, 2n, 0n, 0n]],
    ['punchHole', { op: 'punchHole', file: 'a', offset: 1, length: 2 }, [9, 0, 0, 1], [1n, 2n, 0n, 0n]],
  ])('%s', (_, operation, small, large) => {
    const [frame] = encodeOperations([operation]);
    expect(frame!.count).toBe(1);
    expect(words(frame!.bytes, 0, 4)).toEqual([FRAME_RUN, 1, frame!.files.length, 0]);
    expect(u64(frame!.bytes, 16)).toBe(48n);
    expect(words(frame!.bytes, 24, 4)).toEqual(small);
    expect([40, 48, 56, 64].map((at) => u64(frame!.bytes, at))).toEqual(large);
    expect(frame!.bytes.length).toBe(72);
  });

  it('a write is followed by its bytes, copied at once', () => {
    const bytes = Uint8Array.of(1, 2, 3);
    const [frame] = encodeOperations<string>([
      { op: 'write', address: 5, bytes },
      { op: 'read', address: 6, length: 1 },
    ]);
    bytes.fill(9);
    expect(u64(frame!.bytes, 16)).toBe(99n);
    expect([...frame!.bytes.subarray(72, 75)]).toEqual([1, 2, 3]);
    expect(words(frame!.bytes, 75, 1)).toEqual([6]);
  });

  it('a file named twice is sent once, and none in a frame that does not name it', () => {
    const frames = encodeOperations<string>([
      { op: 'mmap', length: 1, file: 'a' },
      { op: 'mmap', length: 1, file: 'b' },
      { op: 'truncate', file: 'a', length: 1 },
    ]);
    expect(frames.map((frame) => frame.files)).toEqual([['a', 'b']]);
    expect([24, 72, 120].map((at) => words(frames[0]!.bytes, at + 12, 1)[0])).toEqual([1, 2, 1]);
  });

  it('are cut where a message could not carry the files, and where they get long', () => {
    const files = Array.from(
      { length: MAX_FILES + 1 },
      (_, index) => ({ op: 'truncate', file: `${index}`, length: 0 }) as const,
    );
    expect(encodeOperations<string>(files).map((frame) => frame.count)).toEqual([MAX_FILES, 1]);
    const bytes = new Uint8Array(40 * 1024 * 1024);
    const writes = [1, 2, 3].map((address) => ({ op: 'write', address, bytes }) as const);
    expect(encodeOperations<string>(writes).map((frame) => frame.count)).toEqual([1, 1, 1]);
    expect(encodeOperations([])).toEqual([]);
  });

  it('without operations are a header', () => {
    expect(words(encodeControl(FRAME_FORK, 3), 0, 6)).toEqual([FRAME_FORK, 0, 3, 0, 0, 0]);
  });
});

function record(
  kind: number,
  fields: Partial<Record<'error' | 'signal' | 'length', number>> & { value?: bigint; address?: bigint } = {},
): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, kind, true);
  view.setUint32(4, fields.error ?? 0, true);
  view.setBigUint64(8, fields.value ?? 0n, true);
  view.setBigUint64(16, fields.address ?? 0n, true);
  view.setUint32(24, fields.signal ?? 0, true);
  view.setUint32(28, fields.length ?? 0, true);
  return bytes;
}

const stream = Buffer.concat([
  record(RECORD_RESULT, { value: 0x7fff_1234_5000n }),
  record(RECORD_DATA, { length: 5 }),
  Uint8Array.of(1, 2, 3, 4, 5),
  record(RECORD_DATA, { length: 1 }),
  Uint8Array.of(6),
  record(RECORD_RESULT, { value: 6n }),
  record(RECORD_DATA, { length: 2 }),
  Uint8Array.of(7, 8),
  record(RECORD_RESULT, { error: 14, signal: 7, address: 0x1002n, value: 2n }),
  record(RECORD_RESULT, { error: 12 }),
]);

const operations: Operation[] = [
  { op: 'mmap', length: 4096 },
  { op: 'read', address: 0, length: 6 },
  { op: 'read', address: 0x1000, length: 6 },
  { op: 'madvise', address: 0, length: 1, advice: 1 },
];

describe('replies', () => {
  it.each([1, 2, 3, 7, 31, 32, 33, 1000])('in pieces of %i bytes', (size) => {
    const batch = new Batch(operations);
    const reader = new ReplyReader(batch);
    for (let at = 0; at < stream.length; at += size) {
      expect(batch.complete).toBe(false);
      reader.feed(stream.subarray(at, at + size));
    }
    expect(batch.complete).toBe(true);
    expect(batch.results.slice(0, 2)).toEqual([
      { value: 0x7fff_1234_5000 },
      { value: Uint8Array.of(1, 2, 3, 4, 5, 6) },
    ]);
    expect(batch.results[2]!.error).toBeInstanceOf(HmmError);
    expect(batch.results[2]!.error).toMatchObject({
      code: 'EFAULT',
      syscall: 'read',
      signal: 'SIGBUS',
      address: 0x1002,
      done: 2,
    });
    expect(batch.results[3]!.error).toMatchObject({ code: 'ENOMEM', syscall: 'madvise' });
  });

  it('that make no sense are an error, not a result', () => {
    const reply: Reply = { kind: RECORD_RESULT, error: 0, value: 0, address: 0, signal: 0 };
    expect(() => new Batch([]).record(reply)).toThrow(/unexpected record/);
    expect(() => new Batch(operations).record({ ...reply, kind: 9 })).toThrow(/kind 9/);
    expect(() => new Batch(operations).data(Uint8Array.of(1))).toThrow(/nobody asked/);
  });

  it('a long read that fails early takes no more memory than it got bytes', () => {
    const batch = new Batch([{ op: 'read', address: 0, length: 2 ** 50 }, ...operations.slice(0, 1)]);
    const reader = new ReplyReader(batch);
    reader.feed(record(RECORD_DATA, { length: 4096 }));
    reader.feed(new Uint8Array(4096));
    reader.feed(record(RECORD_RESULT, { error: 14, signal: 11, address: 4096n, value: 4096n }));
    reader.feed(record(RECORD_RESULT, { value: 0x5000n }));
    expect(batch.results[0]!.error).toMatchObject({ code: 'EFAULT', done: 4096 });
    expect(batch.results[1]).toEqual({ value: 0x5000 });
  });
});
