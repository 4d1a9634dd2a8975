/** MADV_COLLAPSE: 512 small pages of anonymous memory become one huge page (mm/khugepaged.c). */
import { PAGE, PMD_SIZE, PTES, VM_HUGETLB, VM_NOHUGEPAGE, alignDown, alignUp, blockOf } from './layout.js';
import { PAGE_ANON } from './frames.js';
import { HugePmd, PTE_SPECIAL } from './page-table.js';
import { handleMmFault } from './fault.js';
import { holdsBlock, mapNewHugePage } from './huge-pmd.js';
import { notModelled, refuse } from './mm.js';
import type { Mm } from './mm.js';
import type { PteTable } from './page-table.js';
import type { Routine } from './engine/engine.js';
import type { Vma } from './vma.js';

/** enum scan_result, as far as it is told apart: collapsed, already huge, not now but go on, or the end of it. */
type Outcome = 'collapsed' | 'mapped' | 'unsuitable' | 'busy' | 'failed' | 'no memory';

/**
 * madvise_collapse. mmap_lock is held for reading, and given up and taken again in between.
 * @throws HmmError EINVAL or EAGAIN if not every block that lies wholly in [start, end) is huge now, ENOMEM
 */
export function* madviseCollapse(vma: Vma, start: number, end: number): Routine<void> {
  const { mm } = vma;
  if ((vma.flags & VM_HUGETLB) === 0 && !vma.anonymous) {
    notModelled('madvise', 'huge pages of tmpfs (MADV_COLLAPSE of shared or file memory)');
  }
  if (!collapsible(vma)) refuse('EINVAL', 'madvise', 'the mapping can have no huge page');
  const first = alignUp(start, PMD_SIZE);
  let last = alignDown(end, PMD_SIZE);
  let huge = 0;
  let failure: Outcome = 'failed';
  let current = vma;
  for (let at = first; at < last; at += PMD_SIZE) {
    if (at > first) {
      const again = revalidate(mm, at);
      if (again === null) {
        failure = 'failed';
        break;
      }
      current = again;
      last = Math.min(last, alignDown(current.end, PMD_SIZE));
    }
    const outcome = yield* collapseBlock(current, blockOf(at));
    if (outcome === 'collapsed' || outcome === 'mapped') {
      huge++;
      continue;
    }
    failure = outcome;
    if (outcome === 'failed' || outcome === 'no memory') break;
  }
  if (huge === (last - first) / PMD_SIZE) return;
  // madvise_collapse_errno
  if (failure === 'no memory') refuse('ENOMEM', 'madvise', 'no huge page is left');
  if (failure === 'busy') refuse('EAGAIN', 'madvise', 'a page is in use');
  refuse('EINVAL', 'madvise', 'nothing to collapse');
}

/** thp_vma_allowable_order, for one that need not be in a fault: MADV_HUGEPAGE is not asked for. */
function collapsible(vma: Vma): boolean {
  if (!vma.anonymous || vma.anonVma === null || (vma.flags & (VM_NOHUGEPAGE | VM_HUGETLB)) !== 0) return false;
  return alignDown(vma.end, PMD_SIZE) - alignUp(vma.start, PMD_SIZE) >= PMD_SIZE;
}

/** hugepage_vma_revalidate */
function revalidate(mm: Mm, address: number): Vma | null {
  const vma = mm.vmas.lookup(address);
  return vma !== null && holdsBlock(vma, blockOf(address)) && collapsible(vma) ? vma : null;
}

/** hpage_collapse_scan_pmd, and collapse_huge_page if it finds that worth trying. */
function* collapseBlock(vma: Vma, block: number): Routine<Outcome> {
  const { mm } = vma;
  const found = findTable(mm, block);
  if (typeof found === 'string') return found;
  let swapped = 0;
  for (let index = 0; index < PTES; index++) {
    if (found.swap(index) !== 0) swapped++;
    else {
      const wrong = unsuitable(mm, found, index);
      if (wrong !== null) return wrong;
    }
  }
  if (!hasWritable(found)) return 'unsuitable';

  const head = mm.frames.allocateLarge(PAGE_ANON);
  if (head === 0) return 'no memory';
  // A reference while nothing maps it, so that giving up is dropping that.
  mm.frames.get(head);
  try {
    return yield* collapseInto(mm, block, head, swapped > 0);
  } finally {
    mm.frames.put(head);
  }
}

/** collapse_huge_page. mmap_lock is held for reading before and after, for writing in between. */
function* collapseInto(mm: Mm, block: number, head: number, swapped: boolean): Routine<Outcome> {
  const address = block * PMD_SIZE;
  if (swapped && !(yield* swapIn(mm, address))) return 'failed';
  mm.lock.unlockRead();
  yield* mm.lock.write();
  try {
    const vma = revalidate(mm, address);
    if (vma === null) return 'failed';
    const table = findTable(mm, block);
    if (typeof table === 'string') return table;
    vma.startWrite();
    const range = yield* mm.invalidateStart('clear', address, address + PMD_SIZE);
    // pmdp_collapse_flush
    mm.pageTable.replaceEntry(block, null);
    yield* mm.invalidateEnd(range);
    const wrong = isolate(mm, table);
    mm.pageTable.replaceEntry(block, wrong === null ? null : table);
    if (wrong !== null) return wrong;
    moveInto(mm, table, head);
    mapNewHugePage(vma, block, head);
    return 'collapsed';
  } finally {
    mm.lock.unlockWrite();
    yield* mm.lock.read();
  }
}

/** find_pmd_or_thp_or_none */
function findTable(mm: Mm, block: number): PteTable | Outcome {
  if (mm.pageTable.pmdTable(block) === null) return 'unsuitable';
  const entry = mm.pageTable.entry(block);
  if (entry === null) return 'failed';
  return entry instanceof HugePmd ? 'mapped' : entry;
}

/** What speaks against the page of a present or empty entry. */
function unsuitable({ frames }: Mm, table: PteTable, index: number): Outcome | null {
  if (!table.isPresent(index) || (table.bits[index]! & PTE_SPECIAL) !== 0) return null;
  const frame = table.frame(index);
  if (frames.zone[frame] !== 0) return 'unsuitable';
  return frames.isHeld(frame) ? 'busy' : null;
}

function hasWritable(table: PteTable): boolean {
  return table.writable > 0;
}

/** __collapse_huge_page_swapin: what is not present is faulted in. False: the attempt ends. */
function* swapIn(mm: Mm, address: number): Routine<boolean> {
  for (let at = address; at < address + PMD_SIZE; at += PAGE) {
    const vma = revalidate(mm, address);
    const table = mm.pageTable.tableOf(at);
    if (vma === null || table === null) return false;
    if (table.swap((at / PAGE) % PTES) === 0) continue;
    if ((yield* handleMmFault(vma, at, false)) !== 'done') return false;
  }
  return true;
}

/** __collapse_huge_page_isolate */
function isolate(mm: Mm, table: PteTable): Outcome | null {
  for (let index = 0; index < PTES; index++) {
    if (table.swap(index) !== 0) return 'unsuitable';
    const wrong = unsuitable(mm, table, index);
    if (wrong !== null) return wrong;
  }
  return hasWritable(table) ? null : 'unsuitable';
}

/** __collapse_huge_page_copy: the bytes go over, and the small pages go. */
function moveInto({ frames }: Mm, table: PteTable, head: number): void {
  for (let index = 0; index < PTES; index++) {
    if (!table.isPresent(index)) continue;
    const frame = table.frame(index);
    const special = (table.bits[index]! & PTE_SPECIAL) !== 0;
    table.clear(index);
    if (special) continue;
    frames.copy(frame, head + index);
    frames.unmap(frame);
  }
}
