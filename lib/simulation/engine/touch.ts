/**
 * What a step of a task can touch, in large pieces: bits, of what it reads below and of what it writes above. For those who ask whether the order of
 * two steps matters (lib/explore/dependency.ts). What code of the program's calls, and what does not go through a task, says so with engine.touch().
 */
export type Touched = number;

/**
 * Whatever the device-page-table invariant speaks of, as one thing: page tables of processes and of devices, invalidations under way. Who changes any of it writes it,
 * and so no two changes are ever exchanged; a step that only looks at a part of it reads that part.
 */
export const MEMORY = 1 << 0;
export const MMAP_LOCK = 1 << 1;
/** Sequence of an mm: odd while invalidations are under way. */
export const SEQUENCE = 1 << 2;
/** Update locks, locks of drivers. */
export const LOCKS = 1 << 3;
/** mm_users, and whether the process lives. */
export const USERS = 1 << 4;
/** Whatever the program's own code can see. */
export const HOST = 1 << 5;
/** Page tables of processes, VMAs, frames and their locks. */
export const PAGES = 1 << 6;
/** Sequences of notifiers: what read_retry compares, and a callback sets. */
export const NOTIFIERS = 1 << 7;

/** The queues in which operations of one thread wait for each other. */
export const THREADS = 1 << 8;

const WRITE_SHIFT = 16;

export function reads(things: number): Touched {
  return things;
}

export function writes(things: number): Touched {
  return things << WRITE_SHIFT;
}

/** All of the simulated kernel. */
export const KERNEL: Touched = writes(MEMORY | MMAP_LOCK | SEQUENCE | LOCKS | USERS | PAGES | NOTIFIERS | THREADS);

/** Whether the order of two steps can matter: one writes what the other reads or writes. */
export function dependent(one: Touched, other: Touched): boolean {
  return ((one >> WRITE_SHIFT) & (other | (other >> WRITE_SHIFT))) !== 0 || (one & (other >> WRITE_SHIFT)) !== 0;
}
