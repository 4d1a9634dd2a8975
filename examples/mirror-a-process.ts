/**
 * The main job, shown: a process is mirrored through the retry loop of Documentation/mm/hmm.rst, its memory is changed under
 * the device, and every invalidation is printed. Runs on the kernel if the module is loaded, else on the simulation;
 * `--backend kernel` or `--backend simulation` chooses. Ends with a status of 1 if anything is not as it must be.
 */
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import {
  DriverPageTable,
  HMM_PFN_REQ_FAULT,
  HMM_PFN_REQ_WRITE,
  HmmError,
  HmmRange,
  MADV_DONTNEED,
  PROT_READ,
  openHmm,
  type AddressSpace,
  type Hmm,
  type IntervalNotifier,
  type Lock,
} from 'node-hmm';

const PAGES = 4;

/** A driver with a page table of its own: the kernel's hmm.rst, ported to TypeScript, the same on both backends. */
class Driver {
  readonly table = new DriverPageTable();
  readonly #hmm: Hmm;
  readonly #lock: Lock;
  #notifier!: IntervalNotifier;

  constructor(hmm: Hmm) {
    this.#hmm = hmm;
    this.#lock = hmm.createLock({ name: 'page table' });
  }

  async attach(space: AddressSpace, start: number, length: number): Promise<void> {
    this.#notifier = await space.insertIntervalNotifier(start, length, {
      invalidate: async (range, sequence) => {
        // The process waits in its system call until this has returned. The OOM reaper may not wait: it comes again.
        if (range.blockable) await this.#lock.acquire();
        else if (this.#lock.tryAcquire() === null) return false;
        this.table.invalidate(range.start, range.end);
        this.#lock.release();
        const where = range.event === 'release' ? 'everything' : `${hex(range.start)}..${hex(range.end)}`;
        console.log(`     invalidate  ${range.event.padEnd(15)} ${where}  sequence ${sequence}`);
        return true;
      },
    });
  }

  async populate(start: number, end: number, defaultFlags: bigint): Promise<void> {
    const range = new HmmRange({ notifier: this.#notifier, start, end, defaultFlags });
    for (;;) {
      range.notifierSequence = await this.#notifier.readBegin();
      try {
        await this.#hmm.rangeFault(range);
      } catch (error) {
        if (error instanceof HmmError && error.code === 'EBUSY') continue;
        throw error;
      }
      const held = await this.#lock.acquire();
      try {
        if (this.#notifier.readRetry(range.notifierSequence)) continue;
        this.table.update(start, range.pfns);
        return;
      } finally {
        held.release();
      }
    }
  }

  /** The entries of the pages, as a map of what the device can reach: W writable, R read-only, . nothing. */
  reach(start: number): string {
    return Array.from(this.table.entries(start, PAGES * 4096), (entry) =>
      entry === 0n ? '.' : (entry >> 62n) & 1n ? 'W' : 'R',
    ).join('');
  }
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

async function show(hmm: Hmm): Promise<void> {
  const { pageSize } = hmm;
  const length = PAGES * pageSize;
  const device = hmm.devices[0]!;
  const space = await hmm.createAddressSpace();
  const address = await space.mmap(length);
  const driver = new Driver(hmm);
  await driver.attach(space, address, length);
  console.log(`  1. process ${space.pid} maps ${PAGES} pages at ${hex(address)}; a notifier covers them`);

  await space.write(address, new TextEncoder().encode('written by the CPU'));
  await driver.populate(address, address + length, HMM_PFN_REQ_FAULT | HMM_PFN_REQ_WRITE);
  const seen = text(await device.read(space, address, 18, driver.table.entries(address, 18)));
  console.log(`  2. the device faults them in and reads "${seen}"; it reaches ${driver.reach(address)}`);
  assert.equal(seen, 'written by the CPU');
  assert.equal(driver.reach(address), 'WWWW');

  const stored = new TextEncoder().encode('and by the device');
  await device.write(space, address + pageSize, stored, driver.table.entries(address + pageSize, stored.length));
  const loaded = text(await space.read(address + pageSize, stored.length));
  console.log(`  3. the CPU reads "${loaded}"`);
  assert.equal(loaded, 'and by the device');

  console.log('  4. the process drops a page, protects one, and unmaps one:');
  const believed = driver.table.entries(address, 1);
  await space.madvise(address, pageSize, MADV_DONTNEED);
  await space.mprotect(address + pageSize, pageSize, PROT_READ);
  await space.munmap(address + 3 * pageSize, pageSize);
  console.log(`     the device reaches ${driver.reach(address)}`);
  assert.equal(driver.reach(address), '..W.');

  const stale = await device.read(space, address, 1, believed).catch((error: unknown) => error);
  assert.ok(stale instanceof HmmError && stale.code === 'ESTALE');
  console.log(`  5. a driver that had kept its old entry is told: ${stale.code}`);

  await driver.populate(address, address + 3 * pageSize, HMM_PFN_REQ_FAULT);
  console.log(`  6. the retry loop again: the device reaches ${driver.reach(address)}`);
  assert.equal(driver.reach(address), 'RRW.');
  const dropped = await device.read(space, address, 18, driver.table.entries(address, 18));
  assert.deepEqual(dropped, new Uint8Array(18), 'a dropped page reads as zeros');

  console.log('  7. the process exits:');
  await space.exit();
  assert.equal(driver.reach(address), '....');
}

const { values } = parseArgs({ options: { backend: { type: 'string', default: 'auto' } } });
const hmm = await openHmm({ backend: values.backend as 'auto' });
try {
  console.log(`node-hmm: backend ${hmm.backend}, ${hmm.kernelRelease} (${hmm.backendReason})`);
  await show(hmm);
  console.log('  all as it must be');
} finally {
  await hmm.close();
}
