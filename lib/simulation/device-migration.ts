/**
 * The driver's side of migration: memory at the other end, and what becomes of it. The twin of the module's
 * migrations through a mirror, and of its migrate_to_ram.
 */
import { HmmError } from '../errors.js';
import { PAGE, PMD_SIZE, VM_HUGETLB, alignDown } from './layout.js';
import { migrateFinalize, migratePages, migrateVmaSetup } from './migrate.js';
import type { DeviceMemory } from './device-memory.js';
import type { Migration, MigrationEntry, Selection } from './migrate.js';
import type { Mm } from './mm.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

export interface RangeMigration {
  readonly mm: Mm;
  readonly memory: DeviceMemory;
  /** What the pages that go to the device are remembered for. */
  readonly context: object;
  readonly start: number;
  readonly end: number;
  readonly toDevice: boolean;
  /** Called for each part when it is done, without locks. */
  settled?(start: number, end: number): Routine<unknown>;
}

/**
 * VMA by VMA, in parts of 2 MiB. @returns pages that moved
 * @throws HmmError EFAULT, EINVAL, with the address and the pages that had moved before
 */
export function* migrateRange(request: RangeMigration): Routine<number> {
  const { mm, start, end } = request;
  const syscall = request.toDevice ? 'migrate_to_device' : 'migrate_to_system';
  let done = 0;
  for (let at = start; at < end;) {
    if (!mm.tryGet()) throw new HmmError('EFAULT', syscall, 'the process has gone', { address: at, done });
    let partEnd = Math.min(end, alignDown(at, PMD_SIZE) + PMD_SIZE);
    try {
      if (mm.engine.preemptive || !mm.lock.tryRead()) yield* mm.lock.read();
      try {
        const vma = mm.vmas.lookup(at);
        if (vma === null) throw new HmmError('EFAULT', syscall, 'nothing is mapped there', { address: at, done });
        if ((vma.flags & VM_HUGETLB) !== 0) {
          throw new HmmError('EINVAL', syscall, 'memory of the hugetlb pool is never migrated', { address: at, done });
        }
        partEnd = Math.min(partEnd, vma.end);
        done += yield* migratePart(request, vma, at, partEnd);
      } finally {
        mm.lock.unlockRead();
      }
    } finally {
      mm.put();
    }
    if (request.settled !== undefined) yield* request.settled(at, partEnd);
    at = partEnd;
  }
  return done;
}

function* migratePart(request: RangeMigration, vma: Vma, start: number, end: number): Routine<number> {
  const { mm, memory, context, toDevice } = request;
  const select: Selection = toDevice ? 'system' : memory.private ? 'device-private' : 'device-coherent';
  const migration = newMigration(mm, vma, start, end, select, memory.info.id);
  if ((yield* migrateVmaSetup(migration)) > 0) {
    for (const entry of migration.entries) {
      if (toDevice) giveDeviceMemory(mm, memory, entry);
      else giveSystemMemory(mm, entry);
    }
  }
  yield* migratePages(migration);
  const moved = migration.entries.filter(({ migrate }) => migrate).length;
  if (toDevice) {
    migration.entries.forEach(({ migrate, target }, index) => {
      if (migrate) memory.fill(target, { pgoff: vma.pageIndex(start + index * PAGE), context });
    });
  }
  yield* migrateFinalize(migration);
  return moved;
}

export function newMigration(
  mm: Mm,
  vma: Vma,
  start: number,
  end: number,
  select: Selection,
  owner: number,
  faultFrame = 0,
): Migration & { readonly vma: Vma } {
  return { machine: mm.machine, vma, start, end, select, owner, faultFrame, entries: [] };
}

/** What there is no memory for stays where it is; memory of files cannot move, so none is spent on it. */
function giveDeviceMemory(mm: Mm, memory: DeviceMemory, entry: MigrationEntry): void {
  if (!entry.migrate || (entry.page !== null && entry.page.file !== null)) return;
  const frame = memory.allocate();
  if (frame !== 0) hold(mm, entry, frame);
}

/** Memory for a page that moves out; none for an entry that is empty. Returns false if there is no memory. */
export function giveSystemMemory(mm: Pick<Mm, 'machine' | 'frames'>, entry: MigrationEntry): boolean {
  if (!entry.migrate || entry.page === null) return true;
  const frame = mm.frames.allocate(0);
  if (frame === 0) return false;
  hold(mm, entry, frame);
  return true;
}

/** The migration's own reference and lock, until migrateFinalize(). */
function hold({ machine }: Pick<Mm, 'machine'>, entry: MigrationEntry, frame: number): void {
  machine.pageLocks.get(frame);
  machine.pageLocks.tryLock(frame);
  entry.target = frame;
}
