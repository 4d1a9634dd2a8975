/** The pool of 2 MiB pages (struct hstate, mm/hugetlb.c), the reservations on it, and the file that backs a MAP_HUGETLB mapping. */
import { MemoryFile } from './file.js';
import { PAGE_ANON, PAGE_CACHED } from './frames.js';
import { PAGE, PMD_SIZE, PTES, alignDown } from './layout.js';
import type { Frames } from './frames.js';

export class HugetlbPool {
  readonly #frames: Frames;
  /** free_huge_pages */
  #free: number;
  /** resv_huge_pages: of the free ones, those that are promised. */
  #reserved = 0;

  /** @param pages nr_hugepages; the pool neither grows nor shrinks, and no overcommit is allowed */
  constructor(frames: Frames, pages: number) {
    this.#frames = frames;
    this.#free = pages;
  }

  get free(): number {
    return this.#free;
  }

  get reserved(): number {
    return this.#reserved;
  }

  /** hugetlb_acct_memory. False: not so many are left. */
  reserve(pages: number): boolean {
    if (this.#reserved + pages > this.#free) return false;
    this.#reserved += pages;
    return true;
  }

  unreserve(pages: number): void {
    this.#reserved -= pages;
  }

  /**
   * alloc_hugetlb_folio
   * @param reserved uses a reservation up; without one, only pages that nobody has reserved can be had
   * @returns the first of its frames, or 0 (ENOSPC)
   */
  allocate(anonymous: boolean, reserved: boolean): number {
    if (!reserved && this.#free <= this.#reserved) return 0;
    const head = this.#frames.allocateLarge(anonymous ? PAGE_ANON : PAGE_CACHED, this);
    if (head === 0) return 0;
    this.#free--;
    if (reserved) this.#reserved--;
    return head;
  }

  /** free_huge_folio: the last reference has gone. */
  released(): void {
    this.#free++;
  }
}

/** Which pages of a mapping or a file still have a reservation (struct resv_map); all that is counted is the pool's number. */
export class Reservation {
  readonly #pool: HugetlbPool;
  readonly #pages: number;
  readonly #gone = new Set<number>();

  constructor(pool: HugetlbPool, pages: number) {
    this.#pool = pool;
    this.#pages = pages;
  }

  holds(page: number): boolean {
    return page < this.#pages && !this.#gone.has(page);
  }

  /** A page has been allocated with it: the pool's count has gone down with the allocation. */
  use(page: number): void {
    this.#gone.add(page);
  }

  /** hugetlb_restore_reserve: the page that was allocated with it is free again. */
  restore(page: number): void {
    if (this.#gone.delete(page)) this.#pool.reserve(1);
  }

  /** What is left for [first, end) is given back. */
  drop(first: number, end: number): void {
    for (let page = first; page < Math.min(end, this.#pages); page++) {
      if (this.#gone.has(page)) continue;
      this.#gone.add(page);
      this.#pool.unreserve(1);
    }
  }
}

/** The hidden file of a MAP_HUGETLB | MAP_ANONYMOUS mapping (hugetlb_file_setup). Its page cache serves shared mappings only. */
export class HugetlbFile extends MemoryFile {
  readonly #pool: HugetlbPool;
  /** Of shared mappings, whose reservations belong to the file. */
  readonly #reservation: Reservation | null;

  constructor(frames: Frames, pool: HugetlbPool, length: number, reservation: Reservation | null) {
    super(frames, length);
    this.#pool = pool;
    this.#reservation = reservation;
  }

  /** The first frame of a huge page, allocated if it is not cached; 0 if the pool has none. */
  getHugePage(page: number): number {
    const cached = this.pages.get(page);
    if (cached !== undefined) return cached;
    const reserved = this.#reservation?.holds(page) === true;
    const head = this.#pool.allocate(false, reserved);
    if (head === 0) return 0;
    if (reserved) this.#reservation.use(page);
    this.pages.set(page, head);
    return head;
  }

  /** remove_inode_hugepages: the pages [first, end) leave the cache, and their reservations go. */
  removeHugePages(first: number, end: number): void {
    for (const [page, head] of [...this.pages]) {
      if (page < first || page >= end) continue;
      this.pages.delete(page);
      this.frames.uncache(head);
    }
    this.#reservation?.drop(first, end);
  }

  /** Zeroes [from, to), both of one huge page, if that is cached (hugetlbfs_zero_partial_page). */
  clearBytes(from: number, to: number): void {
    const page = Math.floor(from / PMD_SIZE);
    const head = this.pages.get(page);
    if (head === undefined) return;
    for (let at = from; at < to; at = alignDown(at, PAGE) + PAGE) {
      const end = Math.min(to, alignDown(at, PAGE) + PAGE);
      const frame = head + Math.floor((at - page * PMD_SIZE) / PAGE);
      this.frames.clear(frame, at % PAGE, end - alignDown(at, PAGE));
    }
  }

  override dropIfUnused(): void {
    if (!this.unused) return;
    this.removeHugePages(0, this.length / PMD_SIZE);
  }
}

/** vma_hugecache_offset: page offsets are kept in pages of 4 KiB. */
export function hugePageIndex(pgoff: number): number {
  return pgoff / PTES;
}
