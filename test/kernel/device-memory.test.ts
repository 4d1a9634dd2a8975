/** Migration, exclusive access and atomics as requests: what is asked of the addon, and what its answers become. */
import { describe, expect, it } from 'vitest';
import {
  ATOMIC,
  DEVICE_INFO,
  EVICT,
  HEAD,
  INFO,
  PAGES,
  getBigint,
  getNumber,
  putBigint,
  putNumber,
} from '../../lib/kernel/abi.js';
import type { Context, Errno, Reply } from '../../lib/kernel/addon.js';
import { DeviceMemory } from '../../lib/kernel/device-memory.js';

const START = 2 ** 40;
const END = START + 512 * 4096;
const EAGAIN = 11;
const EFAULT = 14;
const EBUSY = 16;
const EINVAL = 22;
const EOPNOTSUPP = 95;

type Answer = (words: Uint32Array) => number;

/** An addon whose answers are the test's: `now` of what is issued at once, `later` of what the thread pool does. */
function memoryOver(now: Answer | null, later: Answer | null) {
  const request = new Uint32Array(16).fill(0xdead);
  const asked: string[] = [];
  const issue = (name: string): Errno => {
    asked.push(name);
    if (now === null) throw new Error(`${name} on this thread`);
    return now(request) || undefined;
  };
  const post = (name: string): Promise<Reply> => {
    asked.push(name);
    if (later === null) throw new Error(`${name} on the thread pool`);
    const copy = request.slice();
    const errno = later(copy);
    return Promise.resolve({ errno, request: copy, memory: [] });
  };
  const native: Partial<Context> = {
    request,
    atomicAdd: () => issue('atomicAdd'),
    atomicAddAsync: () => post('atomicAddAsync'),
    migrateToDeviceAsync: () => post('migrateToDeviceAsync'),
    migrateToSystemAsync: () => post('migrateToSystemAsync'),
    makeExclusiveAsync: () => post('makeExclusiveAsync'),
    evictAsync: () => post('evictAsync'),
    info(info) {
      putNumber(info, INFO.devices + 3 * DEVICE_INFO.words + DEVICE_INFO.used, 2 ** 33);
      return undefined;
    },
  };
  const memory = new DeviceMemory({
    native: native as Context,
    pageSize: 4096,
    head(_, id) {
      request[HEAD.id] = id;
      request[HEAD.flags] = 0;
    },
    post: (work) => work,
  });
  return { memory, asked };
}

describe.each([
  ['migrateToDevice', 'migrateToDeviceAsync', 'migrate_to_device'],
  ['migrateToSystem', 'migrateToSystemAsync', 'migrate_to_system'],
  ['makeExclusive', 'makeExclusiveAsync', 'make_device_exclusive_range'],
] as const)('%s', (method, native, syscall) => {
  it('runs on the thread pool, and answers with the pages', async () => {
    const { memory, asked } = memoryOver(null, (words) => {
      expect([words[HEAD.id], words[HEAD.flags]]).toEqual([7, 0]);
      expect([getNumber(words, PAGES.start), getNumber(words, PAGES.end)]).toEqual([START, END]);
      for (const out of [PAGES.pages, PAGES.address, PAGES.retries]) expect(getNumber(words, out)).toBe(0);
      putNumber(words, PAGES.pages, 500);
      return 0;
    });
    expect(Object.values(await memory[method](7, START, END))).toEqual([500]);
    expect(asked).toEqual([native]);
  });

  it.each([
    ['a page that failed', EFAULT, START + 4096, { code: 'EFAULT', address: START + 4096, done: 1 }],
    ['a mapping that is never migrated', EINVAL, START, { code: 'EINVAL', address: START, done: 1 }],
    ['arguments that make no sense have no page', EINVAL, 0, { code: 'EINVAL', address: undefined, done: 1 }],
    ['no device memory', EOPNOTSUPP, 0, { code: 'EOPNOTSUPP', address: undefined }],
  ])('%s', async (_, errno, address, expected) => {
    const { memory } = memoryOver(null, (words) => {
      putNumber(words, PAGES.pages, 1);
      putNumber(words, PAGES.address, address);
      return errno;
    });
    await expect(memory[method](7, START, END)).rejects.toMatchObject({ ...expected, errno, syscall });
  });
});

describe('atomicAdd', () => {
  const add: Answer = (words) => {
    expect(getNumber(words, ATOMIC.address)).toBe(START + 8);
    expect(getBigint(words, ATOMIC.value)).toBe(2n ** 64n - 2n);
    putBigint(words, ATOMIC.old, 2n ** 63n + 5n);
    return 0;
  };

  it('is done at once where the page is the device’s already', () => {
    const { memory, asked } = memoryOver(add, null);
    expect(memory.atomicAdd(7, START + 8, -2n)).toBe(2n ** 63n + 5n);
    expect(asked).toEqual(['atomicAdd']);
  });

  it('takes the page on the thread pool', async () => {
    const { memory, asked } = memoryOver(() => EAGAIN, add);
    expect(await memory.atomicAdd(7, START + 8, 2n ** 64n - 2n)).toBe(2n ** 63n + 5n);
    expect(asked).toEqual(['atomicAdd', 'atomicAddAsync']);
  });

  it('an error of either is the error, with the place of a fault', async () => {
    const { memory, asked } = memoryOver(() => EINVAL, null);
    expect(() => memory.atomicAdd(7, START + 1, 1n)).toThrow(/^EINVAL: invalid argument, device_atomic$/);
    expect(asked).toEqual(['atomicAdd']);
    for (const [errno, address] of [
      [EFAULT, START],
      [EBUSY, START],
      [EOPNOTSUPP, START],
    ] as const) {
      const { memory: second } = memoryOver(
        () => EAGAIN,
        () => errno,
      );
      const failed = { errno, address, syscall: 'device_atomic' };
      await expect(second.atomicAdd(7, START + 8, 1n)).rejects.toMatchObject(failed);
    }
  });
});

it('evict answers with the pages, and keeps the count of those before an error', async () => {
  const evict = (errno: number) =>
    memoryOver(null, (words) => {
      expect([words[HEAD.id], words[HEAD.flags], getNumber(words, EVICT.pages)]).toEqual([2, 0, 0]);
      putNumber(words, EVICT.pages, 9);
      return errno;
    }).memory.evict(2);
  expect(await evict(0)).toEqual({ migrated: 9 });
  await expect(evict(EOPNOTSUPP)).rejects.toMatchObject({ code: 'EOPNOTSUPP', done: 9 });
});

it('usage is the device’s own', () => {
  const { memory } = memoryOver(null, null);
  expect(memory.usage(3)).toBe(2 ** 33);
  expect(memory.usage(2)).toBe(0);
});
