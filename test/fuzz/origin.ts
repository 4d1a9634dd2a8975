import { MADV_DONTNEED, MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, type AddressSpace, type Hmm } from 'node-hmm';
import { Pages } from './observe.js';
import { PAGE } from './program.js';

/** Out of the window, and of the slice that it is in. */
const ELSEWHERE = 256 * 2 ** 30;

/**
 * A process with nothing in the window. Programs start as its children, which is cheaper than starting programs, and it drains
 * the processor's batches of pages for the LRU.
 */
export class Origin {
  readonly hmm: Hmm;
  readonly #space: AddressSpace;
  /** Of programs that are over, for the next. */
  readonly #pages: Pages[] = [];

  private constructor(hmm: Hmm, space: AddressSpace) {
    this.hmm = hmm;
    this.#space = space;
  }

  static async create(hmm: Hmm): Promise<Origin> {
    const space = await hmm.createAddressSpace();
    await space.mmap(PAGE, { address: ELSEWHERE, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED });
    return new Origin(hmm, space);
  }

  fork(): Promise<AddressSpace> {
    return this.#space.fork();
  }

  takePages(): Pages {
    return this.#pages.pop() ?? new Pages();
  }

  /** Nobody looks at them any more. */
  givePages(pages: Pages): void {
    this.#pages.push(pages);
  }

  /**
   * What MADV_FREE, MADV_COLD and GUP leave in a batch has one reference more for as long as nobody empties that, and is copied where it
   * could be reused after a fork. madvise(MADV_DONTNEED) empties this processor's (lru_add_drain in zap_page_range_single), and there is no other.
   */
  drain(): Promise<void> {
    return this.#space.madvise(ELSEWHERE, PAGE, MADV_DONTNEED);
  }
}
