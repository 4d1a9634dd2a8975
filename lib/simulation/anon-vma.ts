/**
 * struct anon_vma (mm/rmap.c), as far as it decides anything that can be seen: which VMAs may merge, and which VMAs
 * fork must copy. A chain lists what a VMA is linked to, the oldest (the root) first; the kernel's list has it last.
 */

export class AnonVma {
  parent: AnonVma = this;
  /** num_children: anon_vmas whose parent this is; a root counts itself. */
  children = 0;
  /** num_active_vmas: VMAs whose anon_vma this is. */
  active = 0;
  /** Chains that contain it: its interval tree is empty at 0. */
  links = 0;
}

/** The part of a VMA that this file works on. */
export interface AnonLinked {
  anonVma: AnonVma | null;
  chain: AnonVma[];
}

/** __anon_vma_prepare: `reusable` is what find_mergeable_anon_vma found at the neighbours, or null. */
export function prepareAnonVma(vma: AnonLinked, reusable: AnonVma | null): void {
  const anonVma = reusable ?? new AnonVma();
  if (reusable === null) anonVma.children++;
  vma.anonVma = anonVma;
  link(vma, anonVma);
  anonVma.active++;
}

/** anon_vma_clone: also chooses an anon_vma for `target` if it has none and an abandoned ancestor's can be had. */
export function cloneAnonVmas(target: AnonLinked, source: AnonLinked): void {
  for (const anonVma of source.chain) {
    link(target, anonVma);
    if (target.anonVma === null && source.anonVma !== null && anonVma.children < 2 && anonVma.active === 0) {
      target.anonVma = anonVma;
    }
  }
  if (target.anonVma !== null) target.anonVma.active++;
}

/** anon_vma_fork */
export function forkAnonVmas(child: AnonLinked, parent: AnonLinked): void {
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
export function unlinkAnonVmas(vma: AnonLinked): void {
  for (const anonVma of vma.chain) {
    if (--anonVma.links === 0) anonVma.parent.children--;
  }
  if (vma.anonVma !== null) vma.anonVma.active--;
  vma.anonVma = null;
  vma.chain = [];
}

function link(vma: AnonLinked, anonVma: AnonVma): void {
  vma.chain.push(anonVma);
  anonVma.links++;
}
