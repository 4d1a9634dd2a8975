/** Faults to plant in a copy of the simulation, one for each area: what the differential test is worth is whether it finds them. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface Fault {
  readonly name: string;
  /** Of the kernel whose programs are to find it; default: the newest. */
  readonly release?: string;
  /** In lib/simulation, as compiled. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

export const FAULTS: readonly Fault[] = [
  {
    name: 'events: a boundary in the block with which a mapping begins clears nothing',
    file: 'straddle.js',
    find: 'start < vma.start ||',
    replace: 'start <= vma.start ||',
  },
  {
    name: 'notifiers: one that is inserted during an invalidation reads as if there were none',
    file: 'notifiers.js',
    find: 'notifier.sequence = this.sequence;',
    replace: 'notifier.sequence = this.sequence - 2;',
  },
  {
    name: 'notifiers: one that is inserted during an invalidation is in the tree at once',
    // It takes a second event nested in the first, which 6.1 has for every hugetlb mapping that goes.
    release: '6.1.0',
    file: 'notifiers.js',
    find: 'if (this.invalidating) {\n            this.#deferred.unshift(notifier);',
    replace: 'if (this.invalidating) {\n            this.#link(notifier);',
  },
  {
    name: 'hmm_range_fault: only the page that needs a fault is faulted, not the rest of the stretch',
    file: 'range-fault.js',
    find: 'this.#faultEnd = end;',
    replace: 'this.#faultEnd = start + PAGE;',
  },
  {
    name: 'copy on write: a page that is mapped once more after a fork is reused',
    file: 'fault.js',
    find: 'frames.mappings(frame) === 1',
    replace: 'frames.mappings(frame) <= 2',
  },
  {
    name: 'fork: a mapping without anon_vma is copied too',
    file: 'fork.js',
    find: 'if (parent.anonVma === null)\n        return;',
    replace: '',
  },
  {
    name: 'mprotect: a shared page that is clean stays read-only',
    file: 'mprotect.js',
    find: 'const write = allWritable ||',
    replace: 'const write = (allWritable && (bits & PTE_DIRTY) !== 0) ||',
  },
  {
    name: 'files: truncation unmaps once',
    file: 'file-operations.js',
    find: 'if (old > hole)\n        yield* unmapMappingRange(file, hole, Infinity, true);\n    return undefined;',
    replace: 'return undefined;',
  },
  {
    name: 'huge pages: one that is split keeps its pages of zeroes',
    file: 'split.js',
    find: 'if (profile.splitMapsZeroPages)',
    replace: 'if (profile.splitMapsZeroPages && vma.mm === null)',
  },
  {
    name: 'mremap: entries that are moved one by one become writable',
    file: 'move-page-tables.js',
    find: 'target.set(index + shift, table.frame(index), table.isWritable(index), table.bits[index]);',
    replace: 'target.set(index + shift, table.frame(index), true, table.bits[index]);',
  },
  {
    name: 'migration: mprotect leaves an entry for device memory writable',
    file: 'swap-entries.js',
    find: 'table.setSwap(index, frame, (bits & ~SWAP_WRITE) | exclusive);',
    replace: 'table.setSwap(index, frame, bits | exclusive);',
  },
  {
    name: 'exclusive access: a page that a CPU takes back is read-only',
    file: 'swap-fault.js',
    find: 'written && (vma.flags & VM_WRITE) !== 0',
    replace: 'false',
  },
];

/**
 * A copy of what was built, with the fault in it.
 * @param root of the project; @param folder where to, empty
 * @throws Error if the place is not there, or not one place: the fault must be adapted
 */
export function plant({ name, file, find, replace }: Fault, root: string, folder: string): void {
  cpSync(path.join(root, 'package.json'), path.join(folder, 'package.json'));
  for (const part of ['lib', path.join('test', 'fuzz')]) {
    cpSync(path.join(root, 'dist', part), path.join(folder, 'dist', part), { recursive: true });
  }
  const target = path.join(folder, 'dist', 'lib', 'simulation', file);
  const pieces = readFileSync(target, 'utf8').split(find);
  if (pieces.length !== 2) throw new Error(`${file}: the place of "${name}" is there ${pieces.length - 1} times`);
  writeFileSync(target, pieces.join(replace));
}
