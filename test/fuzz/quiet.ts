/** What a program shows must not depend on what the kernel does in the background meanwhile. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { MADV_HUGEPAGE, MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE } from 'node-hmm';
import type { Origin } from './origin.js';
import { WINDOW } from './program.js';

const COLLAPSED = '/sys/kernel/mm/transparent_hugepage/khugepaged/pages_collapsed';
const HUGE = 2 ** 21;
/** Milliseconds between two looks at what khugepaged does, and looks. */
const POLL = 10;
const LOOKS = 3000;

/** @throws if this machine would answer the same program differently at another time */
export async function checkQuiet(origin: Origin): Promise<void> {
  // A page in another processor's batch of pages for the LRU is not reused after a fork, but copied.
  if (cpus().length !== 1) throw new Error('the kernel is deterministic enough only on a machine with one processor');
  if (existsSync(COLLAPSED)) await checkKhugepaged(origin);
}

/** It makes huge what a program has filled and advised so: whoever comes first to its empty list wakes it, and here that is this process. */
async function checkKhugepaged(origin: Origin): Promise<void> {
  await using space = await origin.fork();
  await space.mmap(HUGE, { address: WINDOW, flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED });
  await space.write(WINDOW, new Uint8Array(HUGE).fill(1));
  await space.madvise(WINDOW, HUGE, MADV_HUGEPAGE);
  const thread = readdirSync('/proc').find(
    (entry) => /^\d+$/.test(entry) && read(`/proc/${entry}/comm`) === 'khugepaged',
  );
  if (thread === undefined) throw new Error('there are huge pages, but no khugepaged');
  for (let look = 0; !/\) S /.test(read(`/proc/${thread}/stat`)); look++) {
    if (look === LOOKS) throw new Error('khugepaged does not come to rest');
    await pause(POLL);
  }
  const collapsed = read(COLLAPSED);
  if (collapsed !== '0') throw new Error(`khugepaged is at work: it has made ${collapsed} page(s) huge`);
}

/** A file of one line. */
function read(path: string): string {
  return readFileSync(path, 'utf8').trimEnd();
}
