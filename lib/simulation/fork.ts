/** fork(2) as far as memory goes: dup_mmap (kernel/fork.c) and copy_page_range (mm/memory.c). */
import { PAGE_ANON, PAGE_ANON_EXCLUSIVE } from './frames.js';
import { HugePmd, PTE_SPECIAL } from './page-table.js';
import { PUD_SIZE, VM_DONTCOPY, VM_LOCKED, VM_WIPEONFORK, alignDown, blockOf, isCowMapping } from './layout.js';
import { Mm } from './mm.js';
import { copyHugePmd } from './huge-pmd.js';
import { copySwapEntry } from './swap-entries.js';
import { exitMmap } from './exit.js';
import { forkAnonVmas } from './anon-vma.js';
import { isHugetlb } from './hugetlb.js';
import { refuse } from './mm.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/** The child's mm. Notifiers are not inherited. */
export function* dupMmap(parent: Mm): Routine<Mm> {
  const child = new Mm(parent.machine);
  yield* parent.lock.write();
  try {
    for (const vma of [...parent.vmas]) {
      vma.startWrite();
      if ((vma.flags & VM_DONTCOPY) !== 0) continue;
      const copy = vma.duplicate(child);
      const wipe = (vma.flags & VM_WIPEONFORK) !== 0;
      if (!wipe) forkAnonVmas(copy, vma);
      copy.flags &= ~VM_LOCKED;
      child.vmas.insert(copy);
      copy.file?.linkAfter(copy, vma);
      if (!wipe) yield* copyPageRange(copy, vma);
    }
  } catch (error) {
    // What has been copied already goes with the child, which nobody has seen.
    yield* exitMmap(child);
    throw error;
  } finally {
    parent.lock.unlockWrite();
  }
  return child;
}

/**
 * copy_page_range: only memory that has an anon_vma, since all else can be faulted in again. PTEs become read-only on
 * both sides, and pages lose their exclusivity.
 */
function* copyPageRange(child: Vma, parent: Vma): Routine<void> {
  if (parent.anonVma === null) return;
  const cow = isCowMapping(parent.flags);
  // copy_hugetlb_page_range has an event of its own.
  const event = isHugetlb(parent) ? 'clear' : 'protection-page';
  const range = cow ? yield* parent.mm.invalidateStart(event, parent.start, parent.end) : null;
  const copied = copyTables(child, parent, cow);
  yield* parent.mm.invalidateEnd(range);
  if (!copied) refuse('ENOMEM', 'fork', 'a page that is exclusive to a device is locked');
}

/** Returns false if it had to stop. */
function copyTables(child: Vma, parent: Vma, cow: boolean): boolean {
  const source = parent.mm.pageTable;
  const target = child.mm.pageTable;
  const { frames } = parent.mm;
  // Table pages appear in the child wherever the parent has them, also without an entry to copy.
  for (let at = parent.start; at < parent.end; at = alignDown(at, PUD_SIZE) + PUD_SIZE) {
    const block = blockOf(at);
    if (source.slices[block >>> 18] != null) target.ensurePudTable(block);
    if (source.pmdTable(block) !== null) target.ensurePmdTable(block);
  }
  let busy = false;
  source.eachEntry(parent.start, parent.end, (table, from, to, block) => {
    if (busy) return;
    if (table instanceof HugePmd) {
      copyHugePmd(child.mm, parent.mm, block);
      return;
    }
    const copy = target.ensureTable(block);
    for (let index = from; index < to; index++) {
      if (!table.isPresent(index)) {
        if (table.isNone(index)) continue;
        const outcome = copySwapEntry(parent, table, copy, index, cow);
        busy = outcome === 'busy';
        if (busy) return;
        if (outcome === 'copied') continue;
      }
      const frame = table.frame(index);
      const bits = table.bits[index]!;
      if ((bits & PTE_SPECIAL) === 0) {
        frames.map(frame);
        if ((frames.flags[frame]! & PAGE_ANON) !== 0) frames.flags[frame]! &= ~PAGE_ANON_EXCLUSIVE;
      }
      if (cow && table.isWritable(index)) table.protect(index, false);
      copy.set(index, frame, table.isWritable(index), bits);
    }
  });
  return !busy;
}
