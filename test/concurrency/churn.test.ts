/**
 * The retry pattern under real concurrency: a thread of the process maps, unmaps, moves and protects its pages, while the
 * device populates and reads them. On the kernel the two run on processors of their own; on the simulation a random
 * scheduler takes turns at every preemption point.
 *
 * Each page holds a stamp: its own number and a generation that only grows. A translation that outlived its page would show
 * the stamp of another page, whose frame it has become, or a generation from before the batch that runs.
 */
import {
  DriverPageTable,
  HMM_PFN_REQ_FAULT,
  HmmError,
  HmmRange,
  MADV_DONTNEED,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
  openHmm,
  type AddressSpace,
  type Hmm,
  type IntervalNotifier,
  type Lock,
  type Operation,
  type PageState,
  type Scheduler,
} from 'node-hmm';
import { afterEach, expect, it } from 'vitest';
import { BASE, GiB, PAGE, onKernel, simulated } from '../conformance/support.js';

const PAGES = 16;
const GENERATIONS = 12;
const SPAN = PAGES * PAGE;
/** Accesses of the device that are under way at once, each to pages of its own. */
const LOOPS = 3;
const BATCHES = onKernel ? 8 : 40;
const SPARE = BASE + 64 * GiB;
const FIXED = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
const MOVE = { flags: MREMAP_MAYMOVE | MREMAP_FIXED };

const open: Hmm[] = [];
afterEach(async () => {
  for (const hmm of open.splice(0)) await hmm.close();
});

/** Takes turns by a xorshift generator: the same seed, the same interleaving. */
class RandomScheduler implements Scheduler {
  #state: bigint;
  constructor(seed: bigint) {
    this.#state = seed;
  }
  newExecution() {
    return true;
  }
  nextTask(runnable: readonly { id: number }[]) {
    return runnable[Number(this.nextU64() % BigInt(runnable.length))]!.id;
  }
  nextU64() {
    this.#state ^= (this.#state << 13n) & 0xffff_ffff_ffff_ffffn;
    this.#state ^= this.#state >> 7n;
    this.#state ^= (this.#state << 17n) & 0xffff_ffff_ffff_ffffn;
    return this.#state;
  }
}

async function openConcurrent(): Promise<{ hmm: Hmm; space: AddressSpace }> {
  const hmm = await openHmm(
    onKernel
      ? { backend: 'kernel' }
      : { backend: 'simulation', kernel: simulated, scheduler: new RandomScheduler(0x9e37_79b9n) },
  );
  open.push(hmm);
  return { hmm, space: await hmm.createAddressSpace() };
}

function stamp(page: number, generation: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(0, page + 1, true);
  new DataView(bytes.buffer).setUint32(4, generation, true);
  return bytes;
}

/** One generation of one page: its mapping is disturbed in one of four ways, then it is stamped anew. */
function churn(page: number, generation: number): Operation[] {
  const address = BASE + page * PAGE;
  const write: Operation = { op: 'write', address, bytes: stamp(page, generation) };
  switch ((page + generation) % 4) {
    case 0:
      return [{ op: 'munmap', address, length: PAGE }, { op: 'mmap', address, length: PAGE, flags: FIXED }, write];
    case 1:
      return [
        { op: 'mprotect', address, length: PAGE, protection: PROT_READ },
        { op: 'mprotect', address, length: PAGE, protection: PROT_READ | PROT_WRITE },
        write,
      ];
    case 2:
      return [{ op: 'madvise', address, length: PAGE, advice: MADV_DONTNEED }, write];
    default: {
      const away = SPARE + page * PAGE;
      return [
        { op: 'mremap', address, oldLength: PAGE, newLength: PAGE, ...MOVE, newAddress: away },
        { op: 'mremap', address: away, oldLength: PAGE, newLength: PAGE, ...MOVE, newAddress: address },
        write,
      ];
    }
  }
}

/** What the device may see of each page while a batch runs: nothing older than the batch before, and never backwards. */
class Watch {
  /** The last generation seen, or that of the batch before. */
  readonly #last = new Array<number>(PAGES).fill(0);
  /** The page was seen dropped since: what comes next must be newer. */
  readonly #dropped = new Array<boolean>(PAGES).fill(false);
  reads = 0;

  batchDone(generation: number): void {
    this.#last.fill(generation);
    this.#dropped.fill(false);
  }

  see(page: number, bytes: Uint8Array): void {
    this.reads++;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const owner = view.getUint32(0, true);
    const generation = view.getUint32(4, true);
    if (owner === 0 && generation === 0) {
      this.#dropped[page] = true;
      return;
    }
    expect(owner, `page ${page} shows the stamp of another page`).toBe(page + 1);
    const least = this.#last[page]! + (this.#dropped[page]! ? 1 : 0);
    expect(generation, `page ${page} went back in time`).toBeGreaterThanOrEqual(least);
    this.#last[page] = generation;
    this.#dropped[page] = false;
  }
}

/** Runs `device` again and again while a thread of the process churns; after each batch the two must agree. */
async function race(
  space: AddressSpace,
  watch: Watch,
  device: (page: number) => Promise<Uint8Array | null>,
): Promise<void> {
  await space.mmap(SPAN, { address: BASE, flags: FIXED });
  await space.run([], { thread: 1 });
  let generation = 0;
  for (let batches = 0; batches < BATCHES; batches++) {
    const operations: Operation[] = [];
    for (let each = 0; each < GENERATIONS; each++) {
      generation++;
      for (let page = 0; page < PAGES; page++) operations.push(...churn(page, generation));
    }
    let running = true;
    const loop = async (first: number) => {
      for (let page = first; running; page = page + LOOPS < PAGES ? page + LOOPS : first) {
        const bytes = await device(page);
        if (bytes !== null) watch.see(page, bytes);
      }
    };
    const loops = Array.from({ length: LOOPS }, (_, first) => loop(first));
    const results = await space.run(operations, { thread: 1 }).finally(() => (running = false));
    await Promise.all(loops);
    expect(results.filter((result) => result.error !== undefined)).toEqual([]);
    watch.batchDone(generation);
    for (let page = 0; page < PAGES; page++) {
      expect(await device(page), `page ${page} after generation ${generation}`).toEqual(stamp(page, generation));
      expect(await space.read(BASE + page * PAGE, 8)).toEqual(stamp(page, generation));
    }
  }
}

/** A page that is unmapped just now: what the device is told then is EFAULT, and nothing else. */
async function unlessUnmapped<T>(access: Promise<T>): Promise<T | null> {
  try {
    return await access;
  } catch (error) {
    if (error instanceof HmmError && (error.code === 'EFAULT' || error.code === 'EPERM')) return null;
    throw error;
  }
}

it('Mirror: no stale byte, whatever the process does to its mappings', { timeout: 300_000 }, async () => {
  const { hmm, space } = await openConcurrent();
  const mirror = await space.mirror(hmm.devices[0]!, { start: BASE, length: SPAN });
  const watch = new Watch();
  await race(space, watch, async (page) => {
    await unlessUnmapped(mirror.populate(BASE, BASE + SPAN, { write: page % 2 === 0 }));
    mirror.takeEvents();
    return await unlessUnmapped(mirror.read(BASE + page * PAGE, 8));
  });
  expect(watch.reads).toBeGreaterThan(50);
});

const RETRIES = 2000;

it('Mirror: thousands of retries, and then it holds what the process holds', { timeout: 300_000 }, async () => {
  const { hmm, space } = await openConcurrent();
  const pages = 64;
  const length = pages * PAGE;
  await space.mmap(length, { address: BASE, flags: FIXED });
  await space.run([], { thread: 1 });
  const mirror = await space.mirror(hmm.devices[0]!, { start: BASE, length });
  // Zero pages all over: who writes to one replaces it, and a CLEAR tells of that. The device writes as the process does.
  const advise = (advice: number): Operation => ({ op: 'madvise', address: BASE, length, advice });
  const zeroPages = [advise(MADV_DONTNEED), advise(MADV_POPULATE_READ)];
  const storm = Array.from({ length: 4 }, () => [...zeroPages, advise(MADV_POPULATE_WRITE)]).flat();
  let retries = 0;
  for (let round = 1; retries < RETRIES; round++) {
    let running = true;
    const loop = async () => {
      while (running) {
        retries += (await mirror.populate(BASE, BASE + length, { write: true })).retries;
        mirror.takeEvents();
      }
    };
    const loops = Array.from({ length: LOOPS }, loop);
    const operations = [...storm, { op: 'write' as const, address: BASE, bytes: stamp(0, round) }];
    const results = await space.run(operations, { thread: 1 }).finally(() => (running = false));
    await Promise.all(loops);
    expect(results.filter((result) => result.error !== undefined)).toEqual([]);
    // What the races have left: no entry but what the process's page table says, with no more permission.
    const left = await mirror.snapshot(BASE, BASE + length);
    expect(left.filter(isStale)).toEqual([]);
    await mirror.populate(BASE, BASE + length);
    const states = await mirror.snapshot(BASE, BASE + length);
    expect(states.filter(({ valid, device, frame }) => !valid || device?.frame !== frame)).toEqual([]);
    expect(await mirror.read(BASE, 8)).toEqual(stamp(0, round));
    // However little of the storm the loops were given time for: now each fault invalidates what its own attempt has read.
    for (const result of await space.run(zeroPages, { thread: 1 })) expect(result.error).toBeUndefined();
    for (let address = BASE; address < BASE + length; address += PAGE) {
      expect(await mirror.populate(address, address + PAGE, { write: true })).toMatchObject({ retries: 1 });
      retries++;
    }
  }
});

function isStale({ device, frame, write }: PageState): boolean {
  return device !== null && (device.frame !== frame || (device.write && !write));
}

/** A driver that keeps its page table in TypeScript: hmm.rst's loop, page by page. */
class Driver {
  /** What this driver does between the fault and the lock: nothing, unless a test makes it slow there. */
  beforeUpdate = async (): Promise<void> => {};
  readonly table: DriverPageTable;
  retries = 0;
  readonly #hmm: Hmm;
  readonly #notifier: IntervalNotifier;
  readonly #lock: Lock;

  static async create(hmm: Hmm, space: AddressSpace, invalidated = (): void => {}): Promise<Driver> {
    const lock = hmm.createLock();
    const table = new DriverPageTable();
    const notifier = await space.insertIntervalNotifier(BASE, SPAN, {
      invalidate: async ({ start, end }) => {
        await lock.run(() => table.invalidate(start, end));
        invalidated();
      },
    });
    return new Driver(hmm, notifier, lock, table);
  }

  private constructor(hmm: Hmm, notifier: IntervalNotifier, lock: Lock, table: DriverPageTable) {
    this.#hmm = hmm;
    this.#notifier = notifier;
    this.#lock = lock;
    this.table = table;
  }

  async populate(start: number): Promise<void> {
    const notifier = this.#notifier;
    const range = new HmmRange({ notifier, start, end: start + PAGE, defaultFlags: HMM_PFN_REQ_FAULT });
    for (;;) {
      range.notifierSequence = await notifier.readBegin();
      try {
        await this.#hmm.rangeFault(range);
      } catch (error) {
        if (!(error instanceof HmmError) || error.code !== 'EBUSY') throw error;
        this.retries++;
        continue;
      }
      await this.beforeUpdate();
      using _held = await this.#lock.acquire();
      if (notifier.readRetry(range.notifierSequence)) {
        this.retries++;
        continue;
      }
      this.table.update(start, range.pfns);
      return;
    }
  }
}

it('a driver in TypeScript, with synchronous callbacks: retries, and no stale byte', { timeout: 300_000 }, async () => {
  const { hmm, space } = await openConcurrent();
  const driver = await Driver.create(hmm, space);
  const watch = new Watch();
  let stale = 0;
  await race(space, watch, async (page) => {
    const address = BASE + page * PAGE;
    for (;;) {
      const missing = driver.table.get(address) === 0n;
      if (missing && (await unlessUnmapped(driver.populate(address).then(() => true))) === null) return null;
      const entries = driver.table.entries(address, 8);
      if (entries[0] === 0n) continue;
      try {
        return await hmm.devices[0]!.read(space, address, 8, entries);
      } catch (error) {
        // Invalidated between the look into the table and the access: the module knew, and said so.
        if (!(error instanceof HmmError) || error.code !== 'ESTALE') throw error;
        stale++;
      }
    }
  });
  expect(watch.reads).toBeGreaterThan(50);
  expect(driver.retries + stale).toBeGreaterThan(0);
});

it(
  'a driver in TypeScript: thousands of retries, and then it has what the process has',
  { timeout: 300_000 },
  async () => {
    const { hmm, space } = await openConcurrent();
    const waiting: (() => void)[] = [];
    const wake = () => {
      for (const done of waiting.splice(0)) done();
    };
    const driver = await Driver.create(hmm, space, wake);
    let running = false;
    // As slow as can be: what was faulted is out of date before the lock is had, as long as the process does anything at all.
    driver.beforeUpdate = async () => {
      if (running) await new Promise<void>((done) => waiting.push(done));
    };
    await space.mmap(SPAN, { address: BASE, flags: FIXED });
    await space.run([], { thread: 1 });
    for (let generation = 1; driver.retries < RETRIES; generation++) {
      const operations = Array.from({ length: PAGES }, (_, page) => churn(page, generation)).flat();
      running = true;
      const loop = async (first: number) => {
        for (let page = first; running; page = (page + LOOPS) % PAGES) {
          await unlessUnmapped(driver.populate(BASE + page * PAGE));
        }
      };
      const loops = Array.from({ length: LOOPS }, (_, first) => loop(first));
      const results = await space.run(operations, { thread: 1 }).finally(() => (running = false));
      wake();
      await Promise.all(loops);
      expect(results.filter((result) => result.error !== undefined)).toEqual([]);
      for (let page = 0; page < PAGES; page++) {
        const address = BASE + page * PAGE;
        await driver.populate(address);
        expect(await hmm.devices[0]!.read(space, address, 8, driver.table.entries(address, 8))).toEqual(
          stamp(page, generation),
        );
      }
    }
  },
);
