/** The ready-made driver: device page table, accesses by the device, and what invalidations do to them. */
import {
  HMM_PFN_VALID,
  HMM_PFN_WRITE,
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  type AddressSpace,
  type Hmm,
  type Mirror,
} from 'node-hmm';
import { describe, expect, it } from 'vitest';
import { BASE, GiB, MiB, PAGE, bench, pattern, refusalCode, refused, shown } from './support.js';

const RW = PROT_READ | PROT_WRITE;
const ANON = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

function map(space: AddressSpace, pages: number, protection = RW, page = 0): Promise<number> {
  return space.mmap(pages * PAGE, { address: BASE + page * PAGE, protection, flags: ANON });
}

function mirrored(hmm: Hmm, space: AddressSpace, length = GiB, device = 0): Promise<Mirror> {
  return space.mirror(hmm.devices[device]!, { start: BASE, length });
}

/** 'VW', 'V' or '0' for each page of the device page table. */
async function entries(mirror: Mirror, pages: number, page = 0): Promise<string[]> {
  const start = BASE + page * PAGE;
  return Array.from(await mirror.pageTable.entries(start, start + pages * PAGE), (entry) => {
    if (entry === 0n) return '0';
    return (entry & HMM_PFN_VALID ? 'V' : '?') + (entry & HMM_PFN_WRITE ? 'W' : '');
  });
}

function events(mirror: Mirror): string[] {
  return mirror.takeEvents().map((event) => shown(event.event, event.start, event.end));
}

it('the device reads what the CPU wrote, at any alignment and across pages', async () => {
  const { hmm, space } = await bench();
  await map(space, 8);
  const bytes = pattern(8 * PAGE);
  await space.write(BASE, bytes);
  const mirror = await mirrored(hmm, space);
  expect(await mirror.read(BASE, 8 * PAGE)).toEqual(bytes);
  expect(await mirror.read(BASE + PAGE - 3, 7)).toEqual(bytes.slice(PAGE - 3, PAGE + 4));
  expect(await mirror.read(BASE + 100, 1)).toEqual(bytes.slice(100, 101));
  expect(await mirror.read(BASE, 0)).toEqual(new Uint8Array(0));
});

it('the CPU reads what the device wrote, at any alignment and across pages, and nothing beside it', async () => {
  const { hmm, space } = await bench();
  await map(space, 4);
  const mirror = await mirrored(hmm, space);
  const bytes = pattern(2 * PAGE, 5);
  await mirror.write(BASE + PAGE - 9, bytes);
  const seen = await space.read(BASE, 4 * PAGE);
  expect(seen.slice(PAGE - 9, 3 * PAGE - 9)).toEqual(bytes);
  expect(seen.slice(0, PAGE - 9)).toEqual(new Uint8Array(PAGE - 9));
  expect(seen.slice(3 * PAGE - 9)).toEqual(new Uint8Array(PAGE + 9));
});

it('big accesses: 5 MiB and a bit', async () => {
  const { hmm, space } = await bench();
  const length = 5 * MiB + 12345;
  await space.mmap(length, { address: BASE, flags: ANON });
  const mirror = await mirrored(hmm, space);
  const bytes = pattern(length, 3);
  await mirror.write(BASE, bytes);
  expect(Buffer.compare(await space.read(BASE, length), bytes)).toBe(0);
  expect(Buffer.compare(await mirror.read(BASE, length), bytes)).toBe(0);
});

it('populate fills the device page table, for reading or for writing, and counts what is valid', async () => {
  const { hmm, space } = await bench();
  await map(space, 4);
  const mirror = await mirrored(hmm, space);
  expect(await mirror.populate(BASE, BASE + 2 * PAGE)).toEqual({ pages: 2, retries: 0 });
  expect(await entries(mirror, 4)).toEqual(['V', 'V', '0', '0']);
  expect(await mirror.populate(BASE + 2 * PAGE, BASE + 4 * PAGE, { write: true })).toEqual({ pages: 2, retries: 0 });
  expect(await entries(mirror, 4)).toEqual(['V', 'V', 'VW', 'VW']);
  expect(events(mirror)).toEqual([]);
});

it('populate for writing over zero pages is restarted once, by the CLEARs that it causes itself', async () => {
  const { hmm, space } = await bench();
  await map(space, 2);
  const mirror = await mirrored(hmm, space);
  await mirror.populate(BASE, BASE + 2 * PAGE);
  expect(await mirror.populate(BASE, BASE + 2 * PAGE, { write: true })).toEqual({ pages: 2, retries: 1 });
  expect(await entries(mirror, 2)).toEqual(['VW', 'VW']);
  expect(events(mirror)).toEqual(['clear 0x0..0x1000', 'clear 0x1000..0x2000']);
});

it('populate of a snapshot takes what is there and faults nothing, whatever is not there', async () => {
  const { hmm, space } = await bench();
  await map(space, 4);
  await space.write(BASE + PAGE, Uint8Array.of(1));
  const mirror = await mirrored(hmm, space);
  expect(await mirror.populate(BASE, BASE + 8 * PAGE, { snapshot: true })).toEqual({ pages: 1, retries: 0 });
  expect(await entries(mirror, 8)).toEqual(['0', 'VW', '0', '0', '0', '0', '0', '0']);
});

it('the entries are those of the process’s page table', async () => {
  const { hmm, space } = await bench();
  await map(space, 3);
  await space.write(BASE, pattern(2 * PAGE));
  const mirror = await mirrored(hmm, space);
  await mirror.populate(BASE, BASE + 3 * PAGE);
  const states = await mirror.snapshot(BASE, BASE + 4 * PAGE);
  expect(states.map(({ address, valid, write, error, order }) => ({ address, valid, write, error, order }))).toEqual([
    { address: BASE, valid: true, write: true, error: false, order: 0 },
    { address: BASE + PAGE, valid: true, write: true, error: false, order: 0 },
    { address: BASE + 2 * PAGE, valid: true, write: false, error: false, order: 0 },
    { address: BASE + 3 * PAGE, valid: false, write: false, error: true, order: 0 },
  ]);
  for (const state of states.slice(0, 3)) {
    expect(state.device).toEqual({ write: state.write, frame: state.frame, exclusive: false });
    const entry = await mirror.pageTable.get(state.address + 17);
    expect(entry & ((1n << 56n) - 1n)).toBe(state.frame);
  }
  expect(states.map(({ location }) => location)).toEqual(['system', 'system', 'zero', null]);
  expect(states[3]!.device).toBe(null);
  expect(states[3]!.frame).toBe(null);
});

const invalidations: {
  name: string;
  act: (space: AddressSpace) => Promise<unknown>;
  left: string[];
  seen: string[];
}[] = [
  {
    name: 'munmap',
    act: (s) => s.munmap(BASE + PAGE, PAGE),
    left: ['VW', '0', 'VW', 'VW'],
    seen: ['unmap 0x1000..0x2000'],
  },
  {
    name: 'mprotect',
    act: (s) => s.mprotect(BASE + PAGE, 2 * PAGE, PROT_READ),
    left: ['VW', '0', '0', 'VW'],
    seen: ['protection-vma 0x1000..0x3000'],
  },
  {
    name: 'madvise(MADV_DONTNEED)',
    act: (s) => s.madvise(BASE + 3 * PAGE, PAGE, MADV_DONTNEED),
    left: ['VW', 'VW', 'VW', '0'],
    seen: ['clear 0x3000..0x4000'],
  },
  {
    name: 'fork',
    act: (s) => s.fork(),
    left: ['0', '0', '0', '0'],
    seen: ['protection-page 0x0..0x4000'],
  },
  {
    name: 'exit',
    act: (s) => s.exit(),
    left: ['0', '0', '0', '0'],
    seen: ['release first..last', 'unmap first..last'],
  },
];

it.each(invalidations)('$name empties the device page table where it reaches, and is an event', async (row) => {
  const { hmm, space } = await bench();
  await map(space, 4);
  const mirror = await mirrored(hmm, space, 4 * PAGE);
  await mirror.populate(BASE, BASE + 4 * PAGE, { write: true });
  await row.act(space);
  expect(await entries(mirror, 4)).toEqual(row.left);
  expect(events(mirror)).toEqual(row.seen);
});

it('after an invalidation the device sees the new contents, never the old', async () => {
  const { hmm, space } = await bench();
  await map(space, 1);
  await space.write(BASE, Uint8Array.of(1));
  const mirror = await mirrored(hmm, space);
  expect(await mirror.read(BASE, 1)).toEqual(Uint8Array.of(1));
  await space.madvise(BASE, PAGE, MADV_DONTNEED);
  expect(await mirror.read(BASE, 1)).toEqual(Uint8Array.of(0));
  await space.write(BASE, Uint8Array.of(2));
  expect(await mirror.read(BASE, 1)).toEqual(Uint8Array.of(2));
  await map(space, 1);
  expect(await mirror.read(BASE, 1)).toEqual(Uint8Array.of(0));
});

it('copy on write by the device: a forked child keeps what it had', async () => {
  const { hmm, space } = await bench();
  await map(space, 2);
  await space.write(BASE, Uint8Array.of(1, 2, 3));
  const mirror = await mirrored(hmm, space);
  await mirror.populate(BASE, BASE + PAGE, { write: true });
  const child = await space.fork();
  await mirror.write(BASE, Uint8Array.of(9));
  expect(await child.read(BASE, 3)).toEqual(Uint8Array.of(1, 2, 3));
  expect(await space.read(BASE, 3)).toEqual(Uint8Array.of(9, 2, 3));
  await child.write(BASE + 1, Uint8Array.of(8));
  expect(await mirror.read(BASE, 3)).toEqual(Uint8Array.of(9, 2, 3));
});

it('shared memory: the device writes what another process reads', async () => {
  const { hmm, space } = await bench();
  const file = await space.createFile(PAGE);
  await space.mmap(PAGE, { address: BASE, file, flags: MAP_SHARED | MAP_FIXED });
  const child = await space.fork();
  const mirror = await mirrored(hmm, space);
  await mirror.write(BASE, Uint8Array.of(7));
  expect(await child.read(BASE, 1)).toEqual(Uint8Array.of(7));
});

describe('what the device cannot reach', () => {
  it('no mapping: EFAULT with the address of the page', async () => {
    const { hmm, space } = await bench();
    await map(space, 1);
    const mirror = await mirrored(hmm, space);
    expect(await refused(mirror.read(BASE + PAGE - 4, 8))).toMatchObject({ code: 'EFAULT', address: BASE + PAGE });
    expect(await refused(mirror.write(BASE + PAGE - 4, pattern(8)))).toMatchObject({ code: 'EFAULT', done: 4 });
    expect(await space.read(BASE + PAGE - 4, 4)).toEqual(pattern(8).slice(0, 4));
    expect(await refusalCode(mirror.populate(BASE, BASE + 2 * PAGE))).toBe('EFAULT');
  });

  it('PROT_NONE: EFAULT; read-only: reads, and EPERM for a write', async () => {
    const { hmm, space } = await bench();
    await map(space, 1, PROT_NONE);
    await map(space, 1, PROT_READ, 1);
    const mirror = await mirrored(hmm, space);
    expect(await refusalCode(mirror.read(BASE, 1))).toBe('EFAULT');
    expect(await mirror.read(BASE + PAGE, 1)).toEqual(Uint8Array.of(0));
    expect(await refused(mirror.write(BASE + PAGE, Uint8Array.of(1)))).toMatchObject({
      code: 'EPERM',
      address: BASE + PAGE,
    });
    expect(await refusalCode(mirror.populate(BASE + PAGE, BASE + 2 * PAGE, { write: true }))).toBe('EPERM');
  });

  it('outside of the span: EINVAL, whatever is mapped there', async () => {
    const { hmm, space } = await bench();
    await map(space, 4);
    const mirror = await mirrored(hmm, space, 2 * PAGE);
    expect(await refusalCode(mirror.read(BASE + 2 * PAGE - 1, 2))).toBe('EINVAL');
    expect(await refusalCode(mirror.write(BASE - 1, pattern(2)))).toBe('EINVAL');
    expect(await refusalCode(mirror.populate(BASE, BASE + 3 * PAGE))).toBe('EINVAL');
    expect(await refusalCode(mirror.populate(BASE, BASE))).toBe('EINVAL');
    expect(await refusalCode(mirror.populate(BASE + 1, BASE + PAGE))).toBe('EINVAL');
    expect(await refusalCode(mirror.snapshot(BASE, BASE + 3 * PAGE))).toBe('EINVAL');
    expect(await refusalCode(mirror.pageTable.entries(BASE, BASE + 3 * PAGE))).toBe('EINVAL');
  });
});

it('entries of the device page table in the caller’s array: every one of the range, and nothing beside it', async () => {
  const { hmm, space } = await bench();
  // More than are got at once, and with nothing in between.
  const pages = 1537;
  await map(space, pages);
  await space.write(BASE, Uint8Array.of(1));
  await space.write(BASE + (pages - 1) * PAGE, Uint8Array.of(1));
  const mirror = await mirrored(hmm, space);
  await mirror.populate(BASE, BASE + PAGE, { write: true });
  await mirror.populate(BASE + (pages - 1) * PAGE, BASE + pages * PAGE, { write: true });
  const junk = 0xdeadn;
  for (const count of [1, 3, pages]) {
    const expected = await mirror.pageTable.entries(BASE, BASE + count * PAGE);
    const into = new BigUint64Array(pages + 1).fill(junk);
    const filled = await mirror.pageTable.entries(BASE, BASE + count * PAGE, into);
    expect(filled).toHaveLength(count);
    expect([filled.buffer, filled.byteOffset]).toEqual([into.buffer, 0]);
    expect(filled).toEqual(expected);
    expect(into.subarray(count).every((entry) => entry === junk)).toBe(true);
  }
  const short = mirror.pageTable.entries(BASE, BASE + 2 * PAGE, new BigUint64Array(1));
  await expect(short).rejects.toThrow(new RangeError('into must hold 2 entries, not 1'));
  const bytes = mirror.pageTable.entries(BASE, BASE + PAGE, new Uint8Array(8) as unknown as BigUint64Array);
  await expect(bytes).rejects.toThrow(TypeError);
});

it('two mirrors of one range, of two devices, each have their page table and their events', async () => {
  const { hmm, space } = await bench();
  await map(space, 2);
  const first = await mirrored(hmm, space);
  const second = await mirrored(hmm, space, 2 * PAGE, 1);
  await first.populate(BASE, BASE + 2 * PAGE, { write: true });
  expect(await entries(second, 2)).toEqual(['0', '0']);
  await second.write(BASE, Uint8Array.of(3));
  expect(await first.read(BASE, 1)).toEqual(Uint8Array.of(3));
  await space.munmap(BASE, 2 * PAGE);
  for (const mirror of [first, second]) {
    expect(await entries(mirror, 2)).toEqual(['0', '0']);
    expect(events(mirror)).toEqual(['unmap 0x0..0x2000']);
  }
});

it('the update lock: while it is held an invalidation waits; its release lets it go on', async () => {
  const { hmm, space } = await bench();
  await map(space, 1);
  const mirror = await mirrored(hmm, space);
  await mirror.populate(BASE, BASE + PAGE);
  const order: string[] = [];
  await space.run([], { thread: 1 });
  await mirror.updateLock.acquire();
  const unmapped = space.munmap(BASE, PAGE).then(() => order.push('unmapped'));
  // A process that answers on another thread shows that time passes while munmap waits.
  for (let round = 0; round < 3; round++) {
    await space.run([{ op: 'madvise', address: 0, length: 0, advice: 0 }], { thread: 1 });
    expect(await entries(mirror, 1)).toEqual(['V']);
  }
  order.push('released');
  mirror.updateLock.release();
  await unmapped;
  expect(order).toEqual(['released', 'unmapped']);
  expect(await entries(mirror, 1)).toEqual(['0']);
});

it('the update lock: populate waits for it, and it is first come, first served', async () => {
  const { hmm, space } = await bench();
  await map(space, 1);
  const mirror = await mirrored(hmm, space);
  const order: string[] = [];
  await mirror.updateLock.acquire();
  const populated = mirror.populate(BASE, BASE + PAGE).then(() => order.push('populated'));
  const second = mirror.updateLock.run(() => void order.push('second'));
  order.push('released');
  mirror.updateLock.release();
  await Promise.all([populated, second]);
  expect(order[0]).toBe('released');
  expect(order.slice(1).sort()).toEqual(['populated', 'second']);
  expect(() => mirror.updateLock.release()).toThrow(expect.objectContaining({ code: 'EINVAL' }));
});

it('the update lock, held beyond the bound: the invalidation takes it away, and its holder is told', async () => {
  const { hmm, space } = await bench({ callbackTimeout: 300 });
  await map(space, 1);
  const mirror = await mirrored(hmm, space);
  await mirror.populate(BASE, BASE + PAGE);
  await mirror.updateLock.acquire();
  await space.munmap(BASE, PAGE);
  expect(await entries(mirror, 1)).toEqual(['0']);
  expect(() => mirror.updateLock.release()).toThrow(expect.objectContaining({ code: 'ETIMEDOUT' }));
  await mirror.updateLock.run(() => undefined);
});

it('an invalidation between the walk and the update: populate begins again, and leaves no stale entry', async () => {
  const { hmm, space } = await bench({ callbackTimeout: 300 });
  await map(space, 1);
  const mirror = await mirrored(hmm, space);
  const observer = await mirrored(hmm, space);
  await mirror.updateLock.acquire();
  const populated = mirror.populate(BASE, BASE + PAGE, { write: true });
  // Its fault is done with mmap_lock held until the walk ends. So what needs mmap_lock for writing comes after the walk,
  // and populate, which waits for the lock, before the update.
  while (!(await observer.snapshot(BASE, BASE + PAGE))[0]!.valid);
  await map(space, 1);
  // The invalidation took the lock away, which nobody has released yet: populate goes on without that.
  expect(await populated).toEqual({ pages: 1, retries: 1 });
  expect(() => mirror.updateLock.release()).toThrow(expect.objectContaining({ code: 'ETIMEDOUT' }));
  const [page] = await mirror.snapshot(BASE, BASE + PAGE);
  expect(page).toMatchObject({ valid: true, write: true, device: { write: true, frame: page!.frame } });
});

it('events can be awaited, in order, with sequence and time; they end when the mirror is removed', async () => {
  const { hmm, space } = await bench();
  await map(space, 4);
  const mirror = await mirrored(hmm, space, 4 * PAGE);
  const collected: string[] = [];
  const times: bigint[] = [];
  const sequences: number[] = [];
  const reading = (async () => {
    for await (const event of mirror.events) {
      collected.push(shown(event.event, event.start, event.end));
      times.push(event.timestamp);
      sequences.push(event.sequence);
      expect(event.blockable).toBe(true);
      expect(event.lost).toBe(0);
      expect(event.owner).toBe(null);
    }
  })();
  await space.madvise(BASE, PAGE, MADV_DONTNEED);
  await space.munmap(BASE, 2 * PAGE);
  await mirror.remove();
  await reading;
  expect(collected).toEqual(['clear 0x0..0x1000', 'unmap 0x0..0x2000']);
  expect(sequences).toEqual([3, 5]);
  expect(times[1]! > times[0]!).toBe(true);
});

it('5000 events that nobody took are all there', async () => {
  const { hmm, space } = await bench();
  await map(space, 4);
  const mirror = await mirrored(hmm, space, 4 * PAGE);
  const drop = Array.from({ length: 1000 }, () => ({
    op: 'madvise' as const,
    address: BASE,
    length: PAGE,
    advice: MADV_DONTNEED,
  }));
  for (let batch = 0; batch < 5; batch++) await space.run(drop);
  const taken = mirror.takeEvents();
  expect(taken.length + taken.reduce((sum, event) => sum + event.lost, 0)).toBe(5000);
  expect(taken.at(-1)!.sequence).toBe(1 + 2 * 5000);
});

it('the notifier of a mirror is one like any other: a range can be guarded by it', async () => {
  const { hmm, space } = await bench();
  await map(space, 1);
  const mirror = await mirrored(hmm, space);
  expect(mirror.notifier.start).toBe(BASE);
  expect(mirror.notifier.length).toBe(GiB);
  const sequence = await mirror.notifier.readBegin();
  expect(mirror.notifier.readRetry(sequence)).toBe(false);
  await space.munmap(BASE, PAGE);
  expect(mirror.notifier.readRetry(sequence)).toBe(true);
});
