/**
 * struct anon_vma (mm/rmap.c), as far as it decides anything that can be seen: which VMAs may merge, which VMAs
 * fork must copy, and which ones the reverse map of a page leads to. A chain lists what a VMA is linked to, the oldest (the root) first; the kernel's list has it last.
 */
import type { Vma } from './vma.js';

export class AnonVma {
  parent: AnonVma = this;
  /** num_children: anon_vmas whose parent this is; a root counts itself. */
  children = 0;
  /** num_active_vmas: VMAs whose anon_vma this is. */
  active = 0;
  /** Chains that contain it: its interval tree is empty at 0. */
  links = 0;
  /** The VMAs whose chain contains it, in the order of insertion into its interval tree. */
  readonly #members = new Set<Vma>();
  /** The interval tree: sorted by pgoff, ties in the order of insertion; null when it must be made anew. */
  #sorted: Vma[] | null = null;
  /** Of sorted[0..i], the highest page that one maps: what a binary search can go by. */
  #reach: number[] = [];

  add(vma: Vma): void {
    this.#members.add(vma);
    this.#sorted = null;
  }

  remove(vma: Vma): void {
    this.#members.delete(vma);
    this.#sorted = null;
  }

  /** anon_vma_interval_tree_foreach: the VMAs that cover one of the pages, in the order of the tree. A copy: the walk may sleep. */
  covering(pgoff: number, pages = 1): Vma[] {
    const sorted = (this.#sorted ??= this.#sort());
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#reach[middle]! > pgoff) high = middle;
      else low = middle + 1;
    }
    const found: Vma[] = [];
    for (let at = low; at < sorted.length && sorted[at]!.pgoff < pgoff + pages; at++) {
      if (sorted[at]!.pgoff + sorted[at]!.pages > pgoff) found.push(sorted[at]!);
    }
    return found;
  }

  #sort(): Vma[] {
    const sorted = [...this.#members].sort((one, other) => one.pgoff - other.pgoff);
    this.#reach = [];
    let reach = 0;
    for (const { pgoff, pages } of sorted) this.#reach.push((reach = Math.max(reach, pgoff + pages)));
    return sorted;
  }
}

/** anon_vma_interval_tree_pre_update_vma and _post_update_vma, around a change of extents: it goes behind its equals. */
export function reorderAnonVmas(vma: Vma, change: () => void): void {
  for (const anonVma of vma.chain) anonVma.remove(vma);
  change();
  for (const anonVma of vma.chain) anonVma.add(vma);
}

/** __anon_vma_prepare: `reusable` is what find_mergeable_anon_vma found at the neighbours, or null. */
export function prepareAnonVma(vma: Vma, reusable: AnonVma | null): void {
  const anonVma = reusable ?? new AnonVma();
  if (reusable === null) anonVma.children++;
  vma.anonVma = anonVma;
  link(vma, anonVma);
  anonVma.active++;
}

/** anon_vma_clone: also chooses an anon_vma for `target` if it has none and an abandoned ancestor's can be had. */
export function cloneAnonVmas(target: Vma, source: Vma): void {
  for (const anonVma of source.chain) {
    link(target, anonVma);
    if (target.anonVma === null && source.anonVma !== null && anonVma.children < 2 && anonVma.active === 0) {
      target.anonVma = anonVma;
    }
  }
  if (target.anonVma !== null) target.anonVma.active++;
}

/** anon_vma_fork */
export function forkAnonVmas(child: Vma, parent: Vma): void {
  if (parent.anonVma === null) return;
  child.anonVma = null;
  cloneAnonVmas(child, parent);
  if (child.anonVma !== null) return;
  const anonVma = new AnonVma();
  anonVma.active++;
  anonVma.parent = parent.anonVma;
  child.anonVma = anonVma;
  link(child, anonVma);
  anonVma.parent.children++;
}

/** unlink_anon_vmas */
export function unlinkAnonVmas(vma: Vma): void {
  for (const anonVma of vma.chain) {
    anonVma.remove(vma);
    if (--anonVma.links === 0) anonVma.parent.children--;
  }
  if (vma.anonVma !== null) vma.anonVma.active--;
  vma.anonVma = null;
  vma.chain = [];
}

function link(vma: Vma, anonVma: AnonVma): void {
  vma.chain.push(anonVma);
  anonVma.add(vma);
  anonVma.links++;
}
