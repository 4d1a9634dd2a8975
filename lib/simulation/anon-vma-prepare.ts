/** The first anonymous page of a VMA: it gets an anon_vma (mm/rmap.c), a neighbour's if it can (mm/vma.c; 6.1 mm/mmap.c). */
import { VM_ACCESS_FLAGS } from './layout.js';
import { prepareAnonVma } from './anon-vma.js';
import type { AnonVma } from './anon-vma.js';
import type { Vma } from './vma.js';

/** anon_vma_prepare */
export function anonVmaPrepare(vma: Vma): void {
  if (vma.anonVma === null) prepareAnonVma(vma, findMergeableAnonVma(vma));
}

/** find_mergeable_anon_vma: sharing the neighbour's lets the two merge later. The upper one is asked first. */
function findMergeableAnonVma(vma: Vma): AnonVma | null {
  const { vmas } = vma.mm;
  const next = vmas.next(vma);
  if (next !== null && compatible(vma, next) && next.anonVma !== null && next.chain.length === 1) return next.anonVma;
  const prev = vmas.prev(vma);
  if (prev !== null && compatible(prev, vma) && prev.anonVma !== null && prev.chain.length === 1) return prev.anonVma;
  return null;
}

/** anon_vma_compatible */
function compatible(lower: Vma, upper: Vma): boolean {
  return (
    lower.end === upper.start &&
    lower.file === upper.file &&
    ((lower.flags ^ upper.flags) & ~VM_ACCESS_FLAGS) === 0 &&
    upper.pgoff === lower.pgoff + lower.pages
  );
}
