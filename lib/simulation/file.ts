/**
 * A tmpfs file (memfd, or the hidden one behind MAP_SHARED | MAP_ANONYMOUS): its page cache and i_mmap, the VMAs that
 * map it. Nothing is ever written back or swapped, so a cached page stays until it is truncated or punched out.
 */
import { PAGE_CACHED } from './frames.js';
import { PAGE } from './layout.js';
import type { BackendFile } from '../backend.js';
import type { Frames } from './frames.js';
import type { Vma } from './vma.js';

export class MemoryFile implements BackendFile {
  /** i_size, bytes. */
  length: number;
  /** Page index to frame. */
  readonly pages = new Map<number, number>();
  /** i_mmap: by pgoff, equal ones in the order of insertion. */
  readonly #mappings: Vma[] = [];
  protected readonly frames: Frames;
  /** Processes that have it open. */
  #openers = 0;

  constructor(frames: Frames, length: number) {
    this.frames = frames;
    this.length = length;
  }

  get open(): boolean {
    return this.#openers > 0;
  }

  /** Pages that may be accessed: beyond them is SIGBUS. */
  get sizeInPages(): number {
    return Math.ceil(this.length / PAGE);
  }

  /** Neither open nor mapped. */
  get unused(): boolean {
    return this.#openers === 0 && this.#mappings.length === 0;
  }

  acquire(): void {
    this.#openers++;
  }

  release(): void {
    this.#openers--;
    this.dropIfUnused();
  }

  /** The frame of a page, allocated if it is a hole (shmem_get_folio); 0 if there is no memory. */
  getPage(index: number): number {
    const cached = this.pages.get(index);
    if (cached !== undefined) return cached;
    const frame = this.frames.allocate(PAGE_CACHED);
    if (frame !== 0) this.pages.set(index, frame);
    return frame;
  }

  link(vma: Vma): void {
    let at = this.#mappings.length;
    while (at > 0 && this.#mappings[at - 1]!.pgoff > vma.pgoff) at--;
    this.#mappings.splice(at, 0, vma);
  }

  /** vma_interval_tree_insert_after: fork puts the child's VMA right behind the parent's. */
  linkAfter(vma: Vma, previous: Vma): void {
    this.#mappings.splice(this.#mappings.indexOf(previous) + 1, 0, vma);
  }

  unlink(vma: Vma): void {
    this.#mappings.splice(this.#mappings.indexOf(vma), 1);
  }

  isMappedBy(vma: Vma): boolean {
    return this.#mappings.includes(vma);
  }

  /** The VMAs that map a page of [first, last], in the order of i_mmap. A copy: callbacks may map and unmap meanwhile. */
  mappingsOf(first: number, last: number): Vma[] {
    return this.#mappings.filter((vma) => vma.pgoff <= last && vma.pgoff + vma.pages > first);
  }

  /** The frames of the pages wholly inside [from, to) leave the cache; the parts of pages at the edges are zeroed. */
  removePages(from: number, to: number): void {
    const first = Math.ceil(from / PAGE);
    const end = Math.floor(to / PAGE);
    if (end - first < this.pages.size) {
      for (let index = first; index < end; index++) this.#removePage(index);
    } else {
      for (const index of [...this.pages.keys()]) if (index >= first && index < end) this.#removePage(index);
    }
    if (first > end) {
      this.#clearPart(end, from - end * PAGE, to - end * PAGE);
      return;
    }
    if (from < first * PAGE) this.#clearPart(first - 1, from - (first - 1) * PAGE, PAGE);
    if (end * PAGE < to) this.#clearPart(end, 0, to - end * PAGE);
  }

  /** fput: the last opener or mapping takes the page cache with it. Not part of unlink(), which also precedes a link(). */
  dropIfUnused(): void {
    if (!this.unused) return;
    for (const frame of this.pages.values()) this.frames.uncache(frame);
    this.pages.clear();
  }

  #clearPart(index: number, from: number, to: number): void {
    const frame = this.pages.get(index);
    if (frame !== undefined) this.frames.clear(frame, from, to);
  }

  #removePage(index: number): void {
    const frame = this.pages.get(index);
    if (frame === undefined) return;
    this.pages.delete(index);
    this.frames.uncache(frame);
  }
}
