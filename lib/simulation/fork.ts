/** fork(2) as far as memory goes: dup_mmap (kernel/fork.c) and copy_page_range (mm/memory.c). */
import { PAGE_ANON, PAGE_ANON_EXCLUSIVE } from './frames.js';
import { PTE_SPECIAL } from './page-table.js';
import { PUD_SIZE, VM_DONTCOPY, VM_LOCKED, VM_WIPEONFORK, alignDown, blockOf, isCowMapping } from './layout.js';
import { Mm } from './mm.js';
import { forkAnonVmas } from './anon-vma.js';
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
  const range = cow ? yield* parent.mm.invalidateStart('protection-page', parent.start, parent.end) : null;
  copyTables(child, parent, cow);
  yield* parent.mm.invalidateEnd(range);
}

function copyTables(child: Vma, parent: Vma, cow: boolean): void {
  const source = parent.mm.pageTable;
  const target = child.mm.pageTable;
  const { frames } = parent.mm;
  // Table pages appear in the child wherever the parent has them, also without an entry to copy.
  for (let at = parent.start; at < parent.end; at = alignDown(at, PUD_SIZE) + PUD_SIZE) {
    const block = blockOf(at);
    if (source.slices[block >>> 18] != null) target.ensurePudTable(block);
    if (source.pmdTable(block) !== null) target.ensurePmdTable(block);
  }
  source.eachTable(parent.start, parent.end, (table, from, to, block) => {
    const copy = target.ensureTable(block);
    for (let index = from; index < to; index++) {
      if (!table.isPresent(index)) continue;
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
}
