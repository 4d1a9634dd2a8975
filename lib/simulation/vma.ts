/** struct vm_area_struct, and the ordered set of those of an mm (the kernel's maple tree). */
import { PAGE, VM_ACCESS_FLAGS, VM_PKEY_EXEC_ONLY, VM_SHARED, VM_WRITE } from './layout.js';
import type { AnonVma } from './anon-vma.js';
import type { MemoryFile } from './file.js';
import type { Mm } from './mm.js';
import type { Reservation } from './hugetlb-pool.js';

export class Vma {
  anonVma: AnonVma | null = null;
  chain: AnonVma[] = [];
  /** Of a private hugetlb mapping, in the process that made it: what it may still take from the pool without asking. */
  reservation: Reservation | null = null;
  /** vm_lock_seq: the writer of mmap_lock that locked this VMA along with it. */
  #lockSequence = -1;

  constructor(
    readonly mm: Mm,
    public start: number,
    public end: number,
    public flags: number,
    /** vm_pgoff, pages: the offset in the file; of anonymous private memory, the address at which it was mapped. */
    public pgoff: number,
    readonly file: MemoryFile | null,
  ) {}

  get pages(): number {
    return (this.end - this.start) / PAGE;
  }

  /** vma_is_anonymous: private and of no file. Memory of MAP_SHARED | MAP_ANONYMOUS has a file. */
  get anonymous(): boolean {
    return this.file === null;
  }

  get shared(): boolean {
    return (this.flags & VM_SHARED) !== 0;
  }

  /** vma_is_accessible: x86 has no mapping that can be written or executed but not read ... */
  get accessible(): boolean {
    return (this.flags & VM_ACCESS_FLAGS) !== 0;
  }

  /** ... except by a protection key. */
  get readableByCpu(): boolean {
    return this.accessible && (this.flags & VM_PKEY_EXEC_ONLY) === 0;
  }

  /** vma_start_write: to be called, with mmap_lock held for writing, before the VMA changes. */
  startWrite(): void {
    this.#lockSequence = this.mm.lock.sequence;
  }

  /** Whether the writer that holds mmap_lock now is changing this VMA. */
  get writeLocked(): boolean {
    return this.#lockSequence === this.mm.lock.sequence;
  }

  /** linear_page_index */
  pageIndex(address: number): number {
    return this.pgoff + (address - this.start) / PAGE;
  }

  /** vm_area_dup: the copy is in no tree and has no anon_vma yet. */
  duplicate(mm: Mm = this.mm): Vma {
    const copy = new Vma(mm, this.start, this.end, this.flags, this.pgoff, this.file);
    // hugetlb_dup_vma_private: a child must ask the pool.
    if (mm === this.mm) copy.reservation = this.reservation;
    return copy;
  }
}

/** vm_page_prot: tmpfs wants no write notification, so a shared writable mapping is writable from the first read on. */
export function mapsWritable(vma: Vma): boolean {
  return (vma.flags & (VM_SHARED | VM_WRITE)) === (VM_SHARED | VM_WRITE);
}

export class VmaSet {
  readonly #list: Vma[] = [];

  get size(): number {
    return this.#list.length;
  }

  [Symbol.iterator](): IterableIterator<Vma> {
    return this.#list[Symbol.iterator]();
  }

  /** find_vma: the VMA that contains the address, or the next above it. */
  find(address: number): Vma | null {
    return this.#list[this.#indexOf(address)] ?? null;
  }

  /** vma_lookup: the VMA that contains the address. */
  lookup(address: number): Vma | null {
    const vma = this.find(address);
    return vma !== null && vma.start <= address ? vma : null;
  }

  /** find_vma_intersection */
  intersection(start: number, end: number): Vma | null {
    const vma = this.find(start);
    return vma !== null && vma.start < end ? vma : null;
  }

  /** The VMA that begins below the address and, if one contains it, is not that one. */
  before(address: number): Vma | null {
    return this.#list[this.#indexOf(address) - 1] ?? null;
  }

  /** The VMA above this one. */
  next(vma: Vma): Vma | null {
    return this.find(vma.end);
  }

  prev(vma: Vma): Vma | null {
    return this.before(vma.start);
  }

  last(): Vma | null {
    return this.#list.at(-1) ?? null;
  }

  insert(vma: Vma): void {
    this.#list.splice(this.#indexOf(vma.start), 0, vma);
  }

  remove(vma: Vma): void {
    this.#list.splice(this.#indexOf(vma.start), 1);
  }

  /** Takes out all VMAs from the one at `start` on that begin below `end`; the edges must have been split. */
  removeRange(start: number, end: number): Vma[] {
    const first = this.#indexOf(start);
    let last = first;
    while (last < this.#list.length && this.#list[last]!.start < end) last++;
    return this.#list.splice(first, last - first);
  }

  clear(): Vma[] {
    return this.#list.splice(0);
  }

  /** Index of the first VMA that ends above the address. */
  #indexOf(address: number): number {
    let low = 0;
    let high = this.#list.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#list[middle]!.end > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
