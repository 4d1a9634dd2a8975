/** What differs between the kernels that the simulation can be, as data: one row a difference, one source a row. */

/** A series as its newest release that was read (6.1.192, 6.12.117), or one stable release of a series. */
export type KernelVersion = '6.1' | '6.12' | `6.1.${number}` | `6.12.${number}`;

type Series = '6.1' | '6.12';

export interface Profile {
  readonly version: KernelVersion;
  /**
   * mm/mprotect.c: where PROTECTION_VMA is opened. 'pud': once per 512 GiB slice, at the first present PUD entry
   * (change_pud_range); 'pmd': once per 1 GiB, at the first present PMD entry (change_pmd_range).
   */
  readonly protectionEventLevel: 'pud' | 'pmd';
  /** mm/mprotect.c, can_change_pte_writable: a clean PTE of a private mapping stays read-only. */
  readonly upgradeNeedsDirty: boolean;
  /** mm/mprotect.c, mprotect_fixup: an anonymous mapping without anon_vma gives its commit charge back. */
  readonly dropsAccountWhenReadOnly: boolean;
  /** mm/huge_memory.c, change_huge_pmd: an exclusive huge page becomes writable at once too. */
  readonly upgradesHugePages: boolean;
  /** mm/memory.c, do_wp_page: of a large folio too, the last page that is mapped is reused. */
  readonly reusesLastPageOfLarge: boolean;
  /** mm/huge_memory.c, __split_huge_pmd_locked: PTEs are dirty if the PMD was. */
  readonly splitPmdKeepsDirty: boolean;
  /** mm/huge_memory.c, remap_page: pages of a split folio that hold only zeroes become the zero page (try_to_map_unused_to_zeropage). */
  readonly splitMapsZeroPages: boolean;
  /**
   * mm/madvise.c: madvise on PTE-mapped pages of a large folio that others map too ends there for this PTE table (6.1), or
   * skips them (6.12, which also leaves a folio whole that the range covers).
   */
  readonly madviseStopsAtShared: boolean;
  /** mm/hugetlb.c, __unmap_hugepage_range: sends UNMAP itself; in later kernels its callers send their own events only. */
  readonly hugetlbUnmapNotifies: boolean;
  /** mm/hugetlb.c, __unmap_hugepage_range: a private page that is unmapped gives the mapping its reservation back. */
  readonly hugetlbRestoresReserve: boolean;
  /** mm/gup.c, check_vma_flags: FOLL_SPLIT_PMD, which exclusive access asks for, is refused for hugetlb before anything is faulted. */
  readonly gupSplitsNoHugetlb: boolean;
  /** mm/mmap.c, mmap_region: any failure to unmap what is there is ENOMEM. */
  readonly mmapHidesUnmapErrors: boolean;
  /** mm/mremap.c, try_realign_addr. */
  readonly mremapRealigns: boolean;
  /** mm/mmap.c, __get_unmapped_area: anonymous private mappings of n x 2 MiB are placed 2 MiB-aligned. */
  readonly alignsHugeMappings: boolean;
  /**
   * What mmap() does when both neighbours fit but have anon_vmas that do not fit each other: 6.12 takes the lower one
   * (mm/vma.c, vma_merge_new_range), 6.1 the upper one (mm/mmap.c, __mmap_region).
   */
  readonly mmapMergePrefers: 'prev' | 'next';
  /** mm/madvise.c, madvise_populate: goes on behind a hole and reports ENOMEM at the end (6.1), or stops there. */
  readonly populateCrossesHoles: boolean;
  /** include/linux/mman.h, calc_vm_flag_bits: MAP_STACK gives VM_NOHUGEPAGE. */
  readonly stackIsNoHugePage: boolean;
  /** CONFIG_PER_VMA_LOCK: a fault in a VMA that nobody is changing does not need mmap_lock (mm/memory.c, lock_vma_under_rcu). */
  readonly perVmaLock: boolean;
  /**
   * copy_vma (mm/vma.c; 6.1: mm/mmap.c), MREMAP_DONTUNMAP of untouched memory next to its own source: it merges with nothing
   * ('never'), perhaps with the other neighbour ('elsewhere'), or with the source too ('itself').
   */
  readonly keptSourceMerges: 'never' | 'elsewhere' | 'itself';
  /**
   * mm/mremap.c, move_vma: MREMAP_DONTUNMAP of a part of a locked mapping splits it first, so that the rest stays locked.
   * Without that the whole source is unlocked.
   */
  readonly keptSourceIsSplit: boolean;
  /** mm/mremap.c, move_vma: MREMAP_DONTUNMAP gives the emptied source the page offset that untouched memory has. */
  readonly keptSourceStartsAnew: boolean;
}

const PROFILES: { readonly [series in Series]: Profile } = {
  '6.1': {
    version: '6.1',
    protectionEventLevel: 'pmd',
    upgradeNeedsDirty: true,
    dropsAccountWhenReadOnly: false,
    upgradesHugePages: false,
    reusesLastPageOfLarge: true,
    splitPmdKeepsDirty: false,
    splitMapsZeroPages: false,
    madviseStopsAtShared: true,
    hugetlbUnmapNotifies: true,
    gupSplitsNoHugetlb: false,
    mmapHidesUnmapErrors: true,
    hugetlbRestoresReserve: false,
    mremapRealigns: false,
    alignsHugeMappings: false,
    mmapMergePrefers: 'next',
    populateCrossesHoles: true,
    stackIsNoHugePage: false,
    perVmaLock: false,
    keptSourceMerges: 'never',
    keptSourceIsSplit: true,
    keptSourceStartsAnew: true,
  },
  '6.12': {
    version: '6.12',
    protectionEventLevel: 'pud',
    upgradeNeedsDirty: false,
    dropsAccountWhenReadOnly: true,
    upgradesHugePages: true,
    reusesLastPageOfLarge: false,
    splitPmdKeepsDirty: true,
    splitMapsZeroPages: true,
    madviseStopsAtShared: false,
    hugetlbUnmapNotifies: false,
    gupSplitsNoHugetlb: true,
    mmapHidesUnmapErrors: false,
    hugetlbRestoresReserve: true,
    mremapRealigns: true,
    alignsHugeMappings: true,
    mmapMergePrefers: 'prev',
    populateCrossesHoles: false,
    stackIsNoHugePage: true,
    perVmaLock: true,
    keptSourceMerges: 'elsewhere',
    keptSourceIsSplit: true,
    keptSourceStartsAnew: true,
  },
};

/** What a stable release changed within a series. */
interface Backport {
  readonly series: Series;
  /** The first stable release that has it. */
  readonly since: number;
  /** The rows as they were before. */
  readonly before: Partial<Profile>;
}

const BACKPORTS: readonly Backport[] = [
  // ChangeLog-6.1.191: "mm/mremap: fix locked_vm leak …" (two), "… reset unfaulted VMA page offset for MREMAP_DONTUNMAP".
  {
    series: '6.1',
    since: 191,
    before: { keptSourceMerges: 'itself', keptSourceIsSplit: false, keptSourceStartsAnew: false },
  },
];

const VERSION = /^(6\.1|6\.12)(?:\.(0|[1-9][0-9]{0,3}))?$/;

/** @returns null if there is no such profile: another series, or no version */
export function profileFor(version: string): Profile | null {
  const parts = VERSION.exec(version);
  if (parts === null) return null;
  const series = parts[1] as Series;
  if (parts[2] === undefined) return PROFILES[series];
  const stable = Number(parts[2]);
  const missing = BACKPORTS.filter((backport) => backport.series === series && stable < backport.since);
  return Object.assign({}, PROFILES[series], ...missing.map(({ before }) => before), { version }) as Profile;
}
